# libperch: the client and what it needs, as one library, and how it is found once it is installed.
include(CMakePackageConfigHelpers)

set(parts $<TARGET_OBJECTS:client> $<TARGET_OBJECTS:client_protocol> $<TARGET_OBJECTS:codec> $<TARGET_OBJECTS:core_base>)
add_library(perch_shared SHARED ${parts})
add_library(perch_static STATIC ${parts})
# Before 1.0 a minor version may change the interface.
set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(exported ${CMAKE_CURRENT_SOURCE_DIR}/libperch.map)
set_target_properties(perch_shared PROPERTIES OUTPUT_NAME perch EXPORT_NAME perch LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION} SOVERSION ${soversion} LINK_DEPENDS ${exported})
set_target_properties(perch_static PROPERTIES OUTPUT_NAME perch LINKER_LANGUAGE CXX)
target_link_options(perch_shared PRIVATE LINKER:--version-script=${exported})
foreach(library perch_shared perch_static)
  target_link_libraries(${library} PRIVATE SQLite::SQLite3)
  target_compile_features(${library} INTERFACE cxx_std_20)
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()

install(TARGETS perch_shared perch_static EXPORT perch
  LIBRARY COMPONENT library NAMELINK_COMPONENT dev
  ARCHIVE COMPONENT dev)
list(TRANSFORM perch_public_headers REPLACE ".*/" ${perch_public_include}/perch/ OUTPUT_VARIABLE headers)
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/perch COMPONENT dev)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Perch)
install(EXPORT perch FILE PerchTargets.cmake NAMESPACE Perch:: DESTINATION ${package_dir} COMPONENT dev)
configure_package_config_file(PerchConfig.cmake.in PerchConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(PerchConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/PerchConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/PerchConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT dev)

# Found from where perch.pc lies, so that --prefix may say anything.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
string(REGEX REPLACE "[^/]+" ".." to_prefix ${pkgconfig_dir})
configure_file(perch.pc.in perch.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/perch.pc DESTINATION ${pkgconfig_dir} COMPONENT dev)
