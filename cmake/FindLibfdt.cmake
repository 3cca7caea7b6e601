# Libfdt::Libfdt, which brings neither a CMake nor a pkg-config file.
find_path(Libfdt_INCLUDE_DIR libfdt.h)
find_library(Libfdt_LIBRARY fdt)
mark_as_advanced(Libfdt_INCLUDE_DIR Libfdt_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libfdt REQUIRED_VARS Libfdt_LIBRARY Libfdt_INCLUDE_DIR)
if(Libfdt_FOUND AND NOT TARGET Libfdt::Libfdt)
  add_library(Libfdt::Libfdt UNKNOWN IMPORTED)
  set_target_properties(Libfdt::Libfdt PROPERTIES
    IMPORTED_LOCATION "${Libfdt_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Libfdt_INCLUDE_DIR}")
endif()
