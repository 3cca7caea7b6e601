# Translation units of several files, which halves the time that a build takes; with the preset tidy
# one for a whole target: clang-tidy looks at each header once.
include_guard()

# clang-tidy takes its configuration from where a file is, and these are where the build is.
foreach(folder IN ITEMS benches tests)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/../${folder}/.clang-tidy"
    "${CMAKE_BINARY_DIR}/${folder}/.clang-tidy" COPYONLY)
endforeach()

# They name something private as a neighbour does.
set(RETRAP_NOT_IN_UNITY
  arch/aarch64/idregs.cpp
  arch/aarch64/sysregs.cpp
  arch/aarch64/vcpu_registers.cpp
  arch/x86_64/emulate_scratch.cpp
  arch/x86_64/ioapic.cpp
  arch/x86_64/lapic.cpp
  arch/x86_64/operand.cpp
  arch/x86_64/pit.cpp
  arch/x86_64/vcpu_exits.cpp
  benches/riscv64_bench.cpp
  benches/x86_64_bench.cpp
  sim/unicorn/x86_64/core_stops.cpp
  sim/unicorn/x86_64/guest_mode.cpp
  sim/unicorn/x86_64/mmu.cpp
  tests/arch/aarch64_syndrome_test.cpp
  tests/arch/aarch64_vcpu_test.cpp
  tests/arch/riscv64_stage2_test.cpp
  tests/arch/x86_64_long_operand_test.cpp
  tests/arch/x86_64_stage2_test.cpp
  tests/sim/aarch64_exceptions_test.cpp
  tests/sim/aarch64_faults_test.cpp
  tests/sim/x86_64_exceptions_test.cpp
  tests/vmm/image_test.cpp
  tests/vmm/ivc_ledger_test.cpp
  tests/vmm/ivc_test.cpp
  tests/vmm/life_cycle_test.cpp
  tests/vmm/page_table_test.cpp
  tests/vmm/vm_run_defects_test.cpp
  tests/vmm/vm_run_test.cpp
  traces/text.cpp
  vmm/devices/pl011.cpp
  vmm/devices/test_finisher.cpp)

# retrap_keep_out_of_unity(FILE...): those of the list, in the calling directory's targets.
function(retrap_keep_out_of_unity)
  if(NOT CMAKE_UNITY_BUILD)
    return()
  endif()
  foreach(file IN LISTS ARGN)
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE name)
    if(name IN_LIST RETRAP_NOT_IN_UNITY)
      set_source_files_properties("${file}" PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  endforeach()
endfunction()
