# Debian packages by CPack, one of each component.
set(CPACK_COMPONENTS_ALL server client library dev bench)
set(package_server perch-server)
set(package_client perch-client)
set(package_library libperch${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(package_dev libperch-dev)
set(package_bench perch-bench)

set(changelog ${CMAKE_CURRENT_BINARY_DIR}/changelog)
configure_file(debian/changelog.in ${changelog} @ONLY)
execute_process(COMMAND ${PERCH_GZIP} -9nkf ${changelog} COMMAND_ERROR_IS_FATAL ANY)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME perch)
set(CPACK_PACKAGE_CONTACT "Perch maintainers <maintainers@perch.example>")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON)  # what is in /etc is not below the prefix
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package_${component}})
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright ${changelog}.gz
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package_${component}} COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
# BoringSSL is in a folder of its own.
foreach(component server bench)
  file(CONFIGURE OUTPUT overrides/${package_${component}} CONTENT "custom-library-search-path\n")
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/overrides/${package_${component}}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/conffiles ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm)
set(CPACK_COMPONENT_SERVER_DESCRIPTION "self-hosted messaging server
perchd delivers messages from device to device, keeps on disk what waits
for who is away, and loses nothing that it has acknowledged. perchctl
looks after it.")

set(CPACK_DEBIAN_CLIENT_PACKAGE_SECTION net)
set(CPACK_COMPONENT_CLIENT_DESCRIPTION "messaging in the terminal, client of a Perch server
perch sends, receives and keeps messages, full-screen or from scripts,
and works offline.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
file(CONFIGURE OUTPUT shlibs CONTENT
  "libperch ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} ${package_library} (>= ${PROJECT_VERSION})\n")
file(CONFIGURE OUTPUT triggers CONTENT "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_BINARY_DIR}/shlibs ${CMAKE_CURRENT_BINARY_DIR}/triggers)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "client library of the Perch messaging server
What programs need that were built with libperch-dev.")

set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${package_library} (= ${PROJECT_VERSION}), libsqlite3-dev")
set(CPACK_COMPONENT_DEV_DESCRIPTION "client library of the Perch messaging server, for development
Headers in C and C++, the static library, and what CMake and pkg-config
find it by.")

set(CPACK_DEBIAN_BENCH_PACKAGE_SECTION net)
set(CPACK_DEBIAN_BENCH_PACKAGE_RECOMMENDS perch-server)
set(CPACK_COMPONENT_BENCH_DESCRIPTION "load generator for the Perch messaging server
perch-bench measures a server from outside, and a bare relay under the
same load.")

include(CPack)
