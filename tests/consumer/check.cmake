# cmake -DBUILD=... -DSOURCE=... -DCOMPILER=... -P check.cmake: installs the build into a folder of
# its own, builds the consumer against that, and runs it.
set(prefix "${BUILD}/consumer/prefix")
set(build "${BUILD}/consumer/build")
file(REMOVE_RECURSE "${BUILD}/consumer")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")
run("${CMAKE_COMMAND}" -G Ninja -S "${SOURCE}/tests/consumer" -B "${build}"
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_CXX_COMPILER=${COMPILER}" -DCMAKE_BUILD_TYPE=Release)
run("${CMAKE_COMMAND}" --build "${build}")
run("${build}/consumer")
run("${prefix}/bin/retrap" --version)
if(EXISTS "${build}/custom_device")
  foreach(arch IN ITEMS x86_64 aarch64 riscv64)
    run("${build}/custom_device" ${arch})
  endforeach()
endif()
if(EXISTS "${build}/consumer_test")
  run("${build}/consumer_test")
endif()
