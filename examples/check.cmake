# Runs an example and compares what it says with its transcript, byte for byte.
# cmake -DPROGRAM=... -DARCH=... -DCONFIG=... -DTRANSCRIPT=... -P check.cmake
execute_process(COMMAND "${PROGRAM}" "${ARCH}" "${CONFIG}"
  OUTPUT_VARIABLE said ERROR_VARIABLE complaints RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ${ARCH} ${CONFIG}: status ${status}\n${complaints}")
endif()
file(READ "${TRANSCRIPT}" wanted)
if(NOT said STREQUAL wanted)
  message(FATAL_ERROR "${PROGRAM} ${ARCH} ${CONFIG} says\n${said}\nand ${TRANSCRIPT} has\n${wanted}")
endif()
