# BoringSSL::Crypto and BoringSSL::SSL, from the distribution (android-libboringssl-dev, whose headers and
# libraries live in folders of their own) or from an upstream build: -DBORINGSSL_ROOT=DIR with DIR/include
# and the libraries in DIR/lib, DIR/build, DIR/build/crypto + DIR/build/ssl or DIR itself.
# Never in one process with OpenSSL (so not with libcurl or libpq): the symbols clash and it crashes.
set(BORINGSSL_ROOT "" CACHE PATH "an upstream BoringSSL; empty: the distribution's")

# What was found under another root, or none, is kept in the build folder and would be taken without a word.
if(NOT "${BORINGSSL_ROOT}" STREQUAL "${BoringSSL_FOUND_UNDER}")
  unset(BoringSSL_INCLUDE_DIR CACHE)
  unset(BoringSSL_CRYPTO_LIBRARY CACHE)
  unset(BoringSSL_SSL_LIBRARY CACHE)
endif()
set(BoringSSL_FOUND_UNDER "${BORINGSSL_ROOT}" CACHE INTERNAL "")

if(BORINGSSL_ROOT)
  find_path(BoringSSL_INCLUDE_DIR openssl/is_boringssl.h
            PATHS ${BORINGSSL_ROOT} PATH_SUFFIXES include NO_DEFAULT_PATH)
  set(boringssl_lib_search PATHS ${BORINGSSL_ROOT}
      PATH_SUFFIXES lib build build/crypto build/ssl NO_DEFAULT_PATH)
else()
  find_path(BoringSSL_INCLUDE_DIR openssl/is_boringssl.h PATHS /usr/include/android NO_DEFAULT_PATH)
  set(boringssl_lib_search PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android NO_DEFAULT_PATH)
endif()
find_library(BoringSSL_CRYPTO_LIBRARY crypto ${boringssl_lib_search})
find_library(BoringSSL_SSL_LIBRARY ssl ${boringssl_lib_search})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BoringSSL
  REQUIRED_VARS BoringSSL_CRYPTO_LIBRARY BoringSSL_SSL_LIBRARY BoringSSL_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install android-libboringssl-dev or give -DBORINGSSL_ROOT=DIR")
mark_as_advanced(BoringSSL_INCLUDE_DIR BoringSSL_CRYPTO_LIBRARY BoringSSL_SSL_LIBRARY)

if(BoringSSL_FOUND AND NOT TARGET BoringSSL::Crypto)
  # The libraries' folder is on no default search path of the loader: CMake puts a target's library folder
  # into the build rpath by itself.
  add_library(BoringSSL::Crypto UNKNOWN IMPORTED)
  set_target_properties(BoringSSL::Crypto PROPERTIES
    IMPORTED_LOCATION ${BoringSSL_CRYPTO_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${BoringSSL_INCLUDE_DIR})
  target_link_libraries(BoringSSL::Crypto INTERFACE Threads::Threads)
  add_library(BoringSSL::SSL UNKNOWN IMPORTED)
  set_target_properties(BoringSSL::SSL PROPERTIES
    IMPORTED_LOCATION ${BoringSSL_SSL_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${BoringSSL_INCLUDE_DIR})
  target_link_libraries(BoringSSL::SSL INTERFACE BoringSSL::Crypto)
endif()
