# Writes OUT with the commit of the checkout SOURCE. Run at every build; the file changes only when they do.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT
"#pragma once
inline constexpr const char* kCommit = \"@commit@\";
inline constexpr const char* kBuildType = \"@BUILD_TYPE@\";
" @ONLY)
