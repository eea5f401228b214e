// What a node tells the service manager that started it (sd_notify).
#include "tests/end_to_end/made_mesh.hpp"

#include "tools/tally/mesh.hpp"
#include "tools/tally/processes.hpp"

#include <csignal>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

using namespace std::chrono_literals;
namespace tally = tallymesh::tally;

namespace {

/// The socket of a service manager.
class manager {
public:
  explicit manager(const std::filesystem::path& directory) : path_(directory / "notify") {
    sockaddr_un at{.sun_family = AF_UNIX, .sun_path = {}};
    BOOST_REQUIRE(path_.native().size() < sizeof at.sun_path);
    path_.native().copy(at.sun_path, sizeof at.sun_path - 1);
    BOOST_REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    const timeval patience{60, 0};
    BOOST_REQUIRE(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)
                  == 0);
  }
  ~manager() { ::close(socket_); }
  manager(const manager&) = delete;
  manager& operator=(const manager&) = delete;

  std::string variable() const { return "NOTIFY_SOCKET=" + path_.string(); }
  /// The next message, or nothing if none comes.
  std::string hears() {
    char text[1024];
    const auto size = ::recv(socket_, text, sizeof text, 0);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
  }

private:
  std::filesystem::path path_;
  int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

} // namespace

BOOST_AUTO_TEST_SUITE(service_manager)

BOOST_AUTO_TEST_CASE(a_node_that_is_ready_says_where_its_clients_find_it) {
  const made_mesh files("hq:level1");
  manager systemd(files.directory);
  const auto mesh = files.directory / "mesh";
  tally::place where;
  where.mesh = mesh;
  const auto target = tally::find_gateways(where).value().at(0).target;
  const auto node = tally::node_process::start(mesh / "hq", {systemd.variable()});
  BOOST_TEST_REQUIRE(node.has_value(), node.error().context);
  BOOST_TEST(systemd.hears()
             == "READY=1\nSTATUS=clients at " + target.host + ":" + std::to_string(target.port)
                    + ", started at height 0");
  BOOST_TEST(node->send(SIGTERM));
  BOOST_TEST(systemd.hears() == "STOPPING=1");
  BOOST_TEST(node->wait_for_end(10s));
}

BOOST_AUTO_TEST_SUITE_END()
