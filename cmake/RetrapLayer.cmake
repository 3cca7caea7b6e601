# How a layer, a test and a benchmark of this project are declared.
include_guard()
include(GNUInstallDirs)
include(Unity)

# Not for coverage: an object remembers the folder in which it counts.
if(NOT CMAKE_CXX_COMPILER_LAUNCHER AND NOT RETRAP_COVERAGE)
  find_program(RETRAP_CCACHE ccache)
  if(RETRAP_CCACHE)
    # Clones in different folders share what they have compiled.
    set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true ${RETRAP_CCACHE})
  endif()
endif()

# Flags for our own code only: PRIVATE, so a user's build is never changed by ours.
add_library(retrap_build_flags INTERFACE)
target_compile_options(retrap_build_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond;-Wlogical-op>
  # GCC joins two words of a small struct into a vector that has just been stored word by word: the
  # load waits for both stores. An exit of x86_64 has several of them.
  $<$<CXX_COMPILER_ID:GNU>:-fno-tree-slp-vectorize>)
if(CMAKE_UNITY_BUILD)
  # Of another file's private names, and of types in files that are included.
  target_compile_options(retrap_build_flags INTERFACE
    -Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(RETRAP_WERROR)
  target_compile_options(retrap_build_flags INTERFACE -Werror)
endif()
if(RETRAP_SANITIZE)
  set(sanitize -fsanitize=${RETRAP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(retrap_build_flags INTERFACE ${sanitize})
  target_link_options(retrap_build_flags INTERFACE ${sanitize})
endif()
if(RETRAP_COVERAGE)
  target_compile_options(retrap_build_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(retrap_build_flags INTERFACE --coverage)
endif()

# An exit goes through a hundred small functions of all layers. The layers are compiled for both: the
# programs that users run are optimised as a whole, the many tests are linked as they are.
if(RETRAP_LTO AND NOT RETRAP_SANITIZE AND NOT RETRAP_COVERAGE)
  set(lto "$<AND:$<CXX_COMPILER_ID:GNU>,$<NOT:$<CONFIG:Debug>>>")
  target_compile_options(retrap_build_flags INTERFACE $<${lto}:-flto=auto;-ffat-lto-objects>)
  target_link_options(retrap_build_flags INTERFACE
    $<${lto}:$<IF:$<BOOL:$<TARGET_PROPERTY:RETRAP_AS_A_WHOLE>>,-flto=auto,-fno-lto>>)
endif()

# retrap_sources(OUT PATTERN... FOLDER folder [EXCLUDE folder...]): files, relative to the root.
function(retrap_sources out)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOLDER" "PATTERNS;EXCLUDE")
  list(TRANSFORM arg_PATTERNS PREPEND "${PROJECT_SOURCE_DIR}/${arg_FOLDER}/")
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${arg_PATTERNS})
  foreach(folder IN LISTS arg_EXCLUDE)
    list(FILTER files EXCLUDE REGEX "^${PROJECT_SOURCE_DIR}/${folder}/")
  endforeach()
  list(SORT files)
  retrap_keep_out_of_unity(${files})
  set(${out} "${files}" PARENT_SCOPE)
endfunction()

# retrap_layer(vmm
#   FOLDER vmm                   all *.h and *.cpp below it; each header must compile on its own
#   EXCLUDE vmm/base ...         but not below these
#   USES base ...                lower layers, part of the interface
#   LIBS fmt::fmt ...            third-party, part of the interface
#   PRIVATE_LIBS ...)            third-party, behind one .cpp of ours
function(retrap_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOLDER" "EXCLUDE;USES;LIBS;PRIVATE_LIBS")
  list(TRANSFORM arg_USES PREPEND retrap::)
  retrap_sources(sources FOLDER ${arg_FOLDER} PATTERNS *.cpp EXCLUDE ${arg_EXCLUDE})
  retrap_sources(headers FOLDER ${arg_FOLDER} PATTERNS *.h EXCLUDE ${arg_EXCLUDE})

  if(sources)
    add_library(retrap_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(retrap_${name}
      PRIVATE $<BUILD_INTERFACE:retrap_build_flags> ${arg_PRIVATE_LIBS})
  else()
    add_library(retrap_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(retrap::${name} ALIAS retrap_${name})

  # The sanitizers and the coverage runtime must reach whatever links this.
  if(RETRAP_SANITIZE OR RETRAP_COVERAGE)
    target_link_options(retrap_${name} INTERFACE
      $<BUILD_INTERFACE:$<TARGET_PROPERTY:retrap_build_flags,INTERFACE_LINK_OPTIONS>>)
  endif()
  target_sources(retrap_${name} ${scope}
    FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${headers})
  target_include_directories(retrap_${name} ${scope} $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_compile_features(retrap_${name} ${scope} cxx_std_20)
  target_link_libraries(retrap_${name} ${scope} ${arg_USES} ${arg_LIBS})
  set_target_properties(retrap_${name} PROPERTIES
    EXPORT_NAME ${name} VERIFY_INTERFACE_HEADER_SETS ON)

  if(RETRAP_INSTALL)
    install(TARGETS retrap_${name} EXPORT retrap-targets
      FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/retrap")
  endif()
endfunction()

# retrap_test(vmm USES vmm ...): one executable from all tests/vmm/**/*_test.cpp, found one by one
# by ctest under the label `vmm`.
function(retrap_test folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "USES")
  list(TRANSFORM arg_USES PREPEND retrap::)
  retrap_sources(sources FOLDER tests/${folder} PATTERNS *.cpp)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(NOT tests)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  string(REPLACE "/" "_" name ${folder})
  add_executable(${name}_test ${sources})
  target_link_libraries(${name}_test
    PRIVATE retrap_test_support ${arg_USES} retrap_build_flags GTest::gmock_main)
  # A disabled test is one that others run, to see it fail.
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    TEST_FILTER "-*.DISABLED_*"
    PROPERTIES LABELS ${name} TIMEOUT ${arg_TIMEOUT})
endfunction()
