# What every target of Perch has in common.
find_program(PERCH_CCACHE ccache)
if(PERCH_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PERCH_CCACHE})
endif()

set(PERCH_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize takes them")

add_library(perch_options INTERFACE)
target_include_directories(perch_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_features(perch_options INTERFACE cxx_std_20)
if(PROJECT_IS_TOP_LEVEL)
  # Not for who embeds Perch: their compiler may warn of more, and their sources are theirs.
  target_compile_options(perch_options INTERFACE -Wall -Wextra -Wshadow -Werror -fno-omit-frame-pointer)
endif()
if(PERCH_SANITIZE)
  # vptr checks need RTTI, which the data path is built without. gcc 12's -Wmaybe-uninitialized is wrong about
  # instrumented code (std::regex, std::function; its manual says so of sanitizers).
  target_compile_options(perch_options INTERFACE -fsanitize=${PERCH_SANITIZE} -fno-sanitize=vptr
    -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  target_link_options(perch_options INTERFACE -fsanitize=${PERCH_SANITIZE})
endif()

# perch_library(NAME sources…): a folder's static library. No exceptions and no RTTI on the data path.
function(perch_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC perch_options)
  target_compile_options(${name} PRIVATE -fno-exceptions -fno-rtti)
endfunction()

# perch_embeddable(NAME): a part of libperch, which is compiled once for the shared library, the static one and every
# program here. The shared one exports what is marked PERCH_API and no more.
function(perch_embeddable name)
  set_target_properties(${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# perch_test(NAME SOURCES … LIBRARIES …): one GoogleTest binary, each of its tests known to ctest.
function(perch_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE -O1)  # half of a cold build is theirs, and a third less with it
  target_link_libraries(${name} PRIVATE perch_options ${ARG_LIBRARIES} GTest::gmock GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  # A build runs each binary for its list while compilers have the cores.
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
endfunction()
