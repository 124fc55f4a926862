# The public headers lie in one folder where they are used, <perch/client.h>: their paths in the tree (core/types.h) are
# names that a project which embeds Perch may have itself.
#
# perch_public_headers(DIR headers…): copies of them in DIR/perch, which include each other there.
function(perch_public_headers dir)
  foreach(header ${ARGN})
    cmake_path(GET header FILENAME name)
    file(READ ${PROJECT_SOURCE_DIR}/${header} text)
    string(REGEX REPLACE "#include \"(core|client)/" "#include \"perch/" text "${text}")
    file(CONFIGURE OUTPUT ${dir}/perch/${name} CONTENT "${text}" @ONLY)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
  endforeach()
endfunction()
