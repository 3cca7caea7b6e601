# `cmake --install`: headers, libraries, the retrap program, and a package for find_package(retrap).
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/retrap")
install(EXPORT retrap-targets NAMESPACE retrap:: DESTINATION "${package_dir}")
configure_package_config_file(cmake/retrap-config.cmake.in retrap-config.cmake
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(retrap-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/retrap-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/retrap-config-version.cmake"
              cmake/RetrapDependencies.cmake cmake/FindLibfdt.cmake
        DESTINATION "${package_dir}")
