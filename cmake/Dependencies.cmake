# Everything the project links, all of it from Debian 12's packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(CAF 0.17.6 EXACT REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.81.0 EXACT CONFIG REQUIRED COMPONENTS headers json unit_test_framework)
find_package(cereal CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(jemalloc REQUIRED IMPORTED_TARGET jemalloc)
pkg_check_modules(libedit REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(systemd REQUIRED IMPORTED_TARGET libsystemd)

find_path(LMDB_INCLUDE_DIR lmdb.h REQUIRED)
find_library(LMDB_LIBRARY lmdb REQUIRED)
add_library(lmdb::lmdb UNKNOWN IMPORTED)
set_target_properties(lmdb::lmdb PROPERTIES IMPORTED_LOCATION "${LMDB_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${LMDB_INCLUDE_DIR}")

# Lua compiled as C++: its errors are exceptions, so they run destructors on the way.
find_path(LUA54_INCLUDE_DIR lua.h PATH_SUFFIXES lua5.4 REQUIRED)
find_library(LUA54_LIBRARY NAMES liblua5.4-c++.a REQUIRED)
add_library(lua::cxx STATIC IMPORTED)
set_target_properties(lua::cxx PROPERTIES IMPORTED_LOCATION "${LUA54_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${LUA54_INCLUDE_DIR}" INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS};m")
# Where Lua would take a text for a number it asks contracts/sandbox.cpp instead.
target_link_options(lua::cxx INTERFACE "LINKER:--wrap=_Z12luaO_str2numPKcP6TValue")
