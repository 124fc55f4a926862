# Part of an installation, which alone knows the prefix: the unit names the installed perchd and its configuration, and
# that is in /etc if the prefix is /usr, else below the prefix.
set(etc ${CMAKE_INSTALL_PREFIX}/etc)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(etc /etc)
endif()
file(INSTALL ${CMAKE_CURRENT_LIST_DIR}/../chat/perchd.toml DESTINATION ${etc}/perch)

set(units ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
file(INSTALL ${CMAKE_CURRENT_LIST_DIR}/perch.socket DESTINATION ${units})
configure_file(${CMAKE_CURRENT_LIST_DIR}/perch.service.in $ENV{DESTDIR}${units}/perch.service @ONLY)
