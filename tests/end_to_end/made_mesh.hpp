// A mesh that `tally init` made, in a temporary directory, and rows for it.
#pragma once

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

inline constexpr auto four_names = "hq:level1,coop:level2,platform:level3,service:service";

/// A new mesh of `nodes` in a directory that ends with this.
struct made_mesh {
  std::filesystem::path directory;
  explicit made_mesh(const std::string& nodes, const std::string& contract = CONTRACT_FILE) {
    std::string name = std::filesystem::temp_directory_path() / "tallymesh.XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    const auto command = std::string(TALLY_PROGRAM) + " init " + name + "/mesh --nodes " + nodes
                         + " --contract " + contract + " > /dev/null";
    BOOST_REQUIRE(std::system(command.c_str()) == 0);
  }
  ~made_mesh() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  made_mesh(const made_mesh&) = delete;
  made_mesh& operator=(const made_mesh&) = delete;
};

/// A row of divisions.streets as JSON; each number gives another one.
inline std::string street_row(std::uint64_t number) {
  auto code = std::to_string(number);
  code.insert(0, 9 - code.size(), '0');
  return R"({"code":")" + code
         + R"(","name":"x","areaCode":"110101","cityCode":"1101","provinceCode":"11"})";
}
