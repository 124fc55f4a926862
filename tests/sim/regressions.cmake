# Every seed of regressions.txt again.
file(STRINGS ${LIST} lines REGEX "^[0-9]")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^[0-9]+" seed "${line}")
  execute_process(COMMAND ${SIM} --seed ${seed} --quiet OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${line}\n${said}")
  endif()
endforeach()
