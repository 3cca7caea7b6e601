# What we did not write. Each library is named once here, with the version we need; the installed
# package looks for the same ones through this same file.
include_guard(GLOBAL)
include(CMakeFindDependencyMacro)

find_package(fmt 9 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Libfdt REQUIRED)
pkg_check_modules(Toml REQUIRED IMPORTED_TARGET GLOBAL tomlplusplus>=3.0)
pkg_check_modules(Elf REQUIRED IMPORTED_TARGET GLOBAL libelf>=0.180)
pkg_check_modules(Zstd REQUIRED IMPORTED_TARGET GLOBAL libzstd>=1.4)
pkg_check_modules(Capstone QUIET IMPORTED_TARGET GLOBAL capstone>=5)
if(NOT Capstone_FOUND)
  message(FATAL_ERROR "retrap needs Capstone >= 5 (pkg-config capstone): run ./dev setup")
endif()
if(RETRAP_WITH_SIM)
  # Quadruple precision: x86 has it in a library of GCC's, other hosts in libm.
  add_library(retrap_quadmath INTERFACE IMPORTED GLOBAL)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_target_properties(retrap_quadmath PROPERTIES INTERFACE_LINK_LIBRARIES quadmath)
  endif()
  pkg_check_modules(Unicorn QUIET IMPORTED_TARGET GLOBAL unicorn>=2.1.4)
  if(NOT Unicorn_FOUND)
    message(FATAL_ERROR "retrap needs Unicorn >= 2.1.4 (pkg-config unicorn): run ./dev setup, or "
      "configure with -DRETRAP_WITH_SIM=OFF for the monitor alone")
  endif()
endif()
