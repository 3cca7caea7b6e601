# retrap_add_guests(library): builds tests/guests/programs for every instruction set.
#
# A program is programs/NAME.c, programs/ISA/NAME.c, or both together. Each becomes
# <build>/guests/ISA/NAME.elf; all of them are also carried by `library` (tests/guests/embedded.h).
# The same sources give the same bytes everywhere: no paths, no dates, no build ids. NAME.elf.debug
# beside it is the same program with line numbers.
include_guard(GLOBAL)

find_program(RETRAP_GUEST_CC NAMES clang-19 clang REQUIRED)
find_program(RETRAP_GUEST_LD NAMES ld.lld-19 ld.lld REQUIRED)
mark_as_advanced(RETRAP_GUEST_CC RETRAP_GUEST_LD)

set(RETRAP_GUEST_ISAS x86_64 aarch64 riscv64)
set(retrap_guest_flags -std=c23 -O2 -ffreestanding -nostdinc -fno-pic -fno-stack-protector
  -fno-builtin -fno-asynchronous-unwind-tables -fno-jump-tables -fno-ident
  -gline-tables-only
  -Wall -Wextra -Werror)
set(retrap_guest_flags_x86_64 --target=x86_64-none-elf -mno-red-zone -mgeneral-regs-only)
set(retrap_guest_flags_aarch64 --target=aarch64-none-elf -march=armv8-a -mgeneral-regs-only
  -mstrict-align)
set(retrap_guest_flags_riscv64 --target=riscv64-none-elf -march=rv64imac_zicsr_zifencei
  -mabi=lp64 -mcmodel=medany -mno-relax)
set(retrap_guest_base_x86_64 0x100000)
set(retrap_guest_base_aarch64 0x40080000)
set(retrap_guest_base_riscv64 0x80200000)

# One object of a guest.
function(retrap_guest_object out isa source)
  string(REPLACE "/" "_" name "${source}")
  string(REPLACE ".." "up" name "${name}")
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${isa}/${name}.o")
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}")
  add_custom_command(OUTPUT "${object}"
    COMMAND ${RETRAP_GUEST_CC} ${retrap_guest_flags} ${retrap_guest_flags_${isa}}
            "-ffile-prefix-map=${folder}=tests/guests" -ffile-compilation-dir=.
            -DGUEST_ISA="${isa}" -I${folder}/${isa} -I${folder}/runtime -I${folder}
            -MD -MF "${object}.d" -MT "${object}" -c "${folder}/${source}" -o "${object}"
    DEPENDS "${folder}/${source}" DEPFILE "${object}.d"
    COMMENT "Guest object ${isa}/${source}" VERBATIM)
  set(${out} "${object}" PARENT_SCOPE)
endfunction()

# The objects that every guest of `isa` has.
function(retrap_guest_runtime out isa)
  set(objects)
  foreach(source IN ITEMS ${isa}/start.S ${isa}/machine.c ${isa}/traps.c
                          runtime/runtime.c runtime/paging.c)
    retrap_guest_object(object ${isa} ${source})
    list(APPEND objects "${object}")
  endforeach()
  set(${out} "${objects}" PARENT_SCOPE)
endfunction()

function(retrap_guest_program out isa name script runtime)
  set(objects ${runtime})
  foreach(source IN ITEMS programs/${name}.c programs/${isa}/${name}.c)
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
      retrap_guest_object(object ${isa} ${source})
      list(APPEND objects "${object}")
    endif()
  endforeach()
  set(elf "${PROJECT_BINARY_DIR}/guests/${isa}/${name}.elf")
  set(link ${RETRAP_GUEST_LD} -static --build-id=none -z max-page-size=4096 -z noexecstack
    --no-dynamic-linker -T "${script}" ${objects})
  add_custom_command(OUTPUT "${elf}" BYPRODUCTS "${elf}.debug"
    COMMAND ${link} --strip-all -o "${elf}"
    COMMAND ${link} -o "${elf}.debug"
    DEPENDS ${objects} "${script}"
    COMMENT "Guest ${isa}/${name}" VERBATIM)
  set(${out} "${elf}" PARENT_SCOPE)
endfunction()

function(retrap_add_guests library)
  set(elves)
  set(blobs "")
  set(table "")
  foreach(isa IN LISTS RETRAP_GUEST_ISAS)
    file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/guests/${isa}" "${CMAKE_CURRENT_BINARY_DIR}/${isa}")
    set(base ${retrap_guest_base_${isa}})
    set(script "${CMAKE_CURRENT_BINARY_DIR}/${isa}/guest.ld")
    configure_file(guest.ld.in "${script}" @ONLY)
    retrap_guest_runtime(runtime ${isa})
    file(GLOB sources RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS
      "${CMAKE_CURRENT_SOURCE_DIR}/programs/*.c" "${CMAKE_CURRENT_SOURCE_DIR}/programs/${isa}/*.c")
    set(names)
    foreach(source IN LISTS sources)
      get_filename_component(name "${source}" NAME_WE)
      list(APPEND names "${name}")
    endforeach()
    list(REMOVE_DUPLICATES names)
    list(SORT names)
    foreach(name IN LISTS names)
      retrap_guest_program(elf ${isa} ${name} "${script}" "${runtime}")
      list(APPEND elves "${elf}")
      string(APPEND blobs "RETRAP_GUEST(${isa}_${name}, \"${isa}/${name}.elf\")\n")
      string(SUBSTRING "${isa}" 0 1 first)
      string(SUBSTRING "${isa}" 1 -1 rest)
      string(TOUPPER "${first}" first)
      string(APPEND table
        "    {\"${name}\", ArchId::${first}${rest}, bytes_of(${isa}_${name}, ${isa}_${name}_end)},\n")
    endforeach()
  endforeach()

  set(RETRAP_GUEST_BLOBS "${blobs}")
  set(RETRAP_GUEST_TABLE "${table}")
  configure_file(embedded.cpp.in "${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp" @ONLY)
  add_custom_target(guests ALL DEPENDS ${elves})
  add_library(${library} STATIC "${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp")
  # The assembler reads the programs while embedded.cpp is compiled.
  set_source_files_properties("${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp" PROPERTIES
    OBJECT_DEPENDS "${elves}" COMPILE_OPTIONS -fno-lto)
  target_compile_options(${library} PRIVATE "SHELL:-Wa,-I\"${PROJECT_BINARY_DIR}/guests\"")
  target_link_libraries(${library} PUBLIC retrap::base PRIVATE retrap_build_flags)
  set_target_properties(${library} PROPERTIES CXX_CLANG_TIDY "")  # generated
endfunction()

# retrap_add_launchers(): <build>/guests/launch/ISA.elf from tests/hostile/launch_ISA.S.
function(retrap_add_launchers)
  set(elves)
  foreach(isa IN LISTS RETRAP_GUEST_ISAS)
    file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/guests/launch")
    set(script "${CMAKE_CURRENT_BINARY_DIR}/${isa}/guest.ld")
    retrap_guest_object(object ${isa} ../hostile/launch_${isa}.S)
    set(elf "${PROJECT_BINARY_DIR}/guests/launch/${isa}.elf")
    add_custom_command(OUTPUT "${elf}"
      COMMAND ${RETRAP_GUEST_LD} -static --strip-all --build-id=none -z max-page-size=4096
              -z noexecstack -T "${script}" -o "${elf}" "${object}"
      DEPENDS "${object}" "${script}"
      COMMENT "Launcher ${isa}" VERBATIM)
    list(APPEND elves "${elf}")
  endforeach()
  add_custom_target(launchers ALL DEPENDS ${elves})
endfunction()
