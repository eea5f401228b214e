#include "tests/faults/power_loss_recording.hpp"

#include "configs/node_config.hpp"
#include "tests/faults/language/parser.hpp"
#include "tests/faults/real/clients.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/operations.hpp"

#include <thread>

namespace tallymesh::faults {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint16_t node_count = 4;
constexpr std::uint16_t stands_still = 3, is_killed = 2, erases = 0;
constexpr auto patience = 60s; ///< of what takes a second on a quiet machine
constexpr const char* erased_row = "e0000000000000000000000000000001";
constexpr const char* erased_text = "only until it is erased";

constexpr const char* load_script = "name \"load\"\n"
                                    "nodes n1..n4\n"
                                    "load n1..n4 rate 40/s size 64B\n"
                                    "at 3s heal\n"
                                    "within 60s after heal converged\n";

std::int64_t microseconds(clock::time_point x) {
  return std::chrono::duration_cast<std::chrono::microseconds>(x.time_since_epoch()).count();
}

/// Hands the erased row's operations in, one after the other, until each is final.
class eraser {
public:
  explicit eraser(const tally::http_target& gateway) : over_(gateway) {}

  result<void> store() {
    return act("e1", "store",
               std::string(R"("table":"entries","row":{"id":")") + erased_row
                   + R"(","filler":")" + erased_text + "\"}");
  }
  result<void> order() {
    return act("e2", "erase",
               std::string(R"("table":"entries","key":[")") + erased_row
                   + R"("],"reason":"a test")");
  }
  /// Every node has signed that it holds nothing of it any more.
  bool is_done() {
    const auto orders = tally::list_table(over_, "erasure.erasures", "", 1);
    return orders && !orders->empty() && tally::text_at(orders->front(), "state") == "done";
  }

private:
  result<void> act(const std::string& begin, const std::string& action,
                   const std::string& arguments) {
    tally::http_request request;
    request.method = tally::http_method::post;
    request.path = "/v1/operations?wait=finalized&timeout_ms=3000";
    request.content_type = "application/x-ndjson";
    request.body = R"({"id":")" + begin + std::string(30, '0')
                   + R"(","contract":"faults","action":")" + action + R"(","arguments":{)"
                   + arguments + "}}\n";
    const auto end = clock::now() + patience;
    std::string last;
    while (clock::now() < end) {
      const auto answer = over_.send(request);
      last = answer ? answer->body : answer.error().context;
      const auto line = tally::parse_json(last);
      if (line && tally::text_at(*line, "status") == "finalized"
          && last.find("\"ok\":false") == last.npos)
        return {};
    }
    return make_error(errc::unavailable, action + " was not acknowledged: " + last);
  }

  tally::http_client over_;
};

class stage {
public:
  stage(real_mesh& mesh, std::vector<tally::http_target> gateways)
      : mesh_(mesh), gateways_(std::move(gateways)) {}

  result<power_recording> play() {
    for (std::uint16_t i = 0; i < node_count; ++i)
      if (auto up = mesh_.start(i); !up) return up.error();
    const auto what = parse_script(load_script, "load");
    TALLYMESH_INVARIANT(what.has_value());
    began_ = clock::now();
    clients load(*what, 1, gateways_, began_);
    eraser erasing(gateways_[erases]);
    power_recording made;
    if (auto done = erasing.store(); !done) return done.error();
    at(700ms);
    mesh_.stop(stands_still);
    at(1800ms);
    mesh_.carry_on(stands_still);
    mesh_.kill(is_killed);
    if (auto up = mesh_.start(is_killed); !up) return up.error();
    if (auto done = erasing.order(); !done) return done.error();
    if (!tally::poll_until(patience, 20ms, [&] { return erasing.is_done(); }))
      return make_error(errc::unavailable, "not every node erased in time");
    made.erased = erased_text;
    made.erased_us = microseconds(clock::now());
    if (!tally::poll_until(patience, 20ms, [&] { return load.open() == 0; }))
      return make_error(errc::unavailable, "not everything was acknowledged in time");
    for (std::uint16_t i = 0; i < node_count; ++i)
      mesh_.kill(i);
    made.acknowledged = told(load.history());
    return made;
  }

private:
  void at(std::chrono::milliseconds when) { std::this_thread::sleep_until(began_ + when); }

  std::vector<acknowledgement> told(const client_history& history) const {
    // A client remembers whole milliseconds; by the end of that one it had been told.
    constexpr std::int64_t millisecond_us = 1000;
    std::vector<acknowledgement> all;
    for (const auto& [id, x] : history.entries())
      if (x.acknowledged)
        all.push_back({microseconds(began_) + x.acknowledged->count() + millisecond_us, x.node,
                       *operation_id::from_hex(id)});
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.at_us < b.at_us; });
    return all;
  }

  real_mesh& mesh_;
  std::vector<tally::http_target> gateways_;
  clock::time_point began_;
};

result<void> add_keys(const real_mesh& mesh, power_recording& to) {
  for (std::uint16_t i = 0; i < node_count; ++i) {
    const auto config = configs::load_node(mesh.directory_of(i) / "node.toml");
    if (!config) return config.error();
    const auto keys = configs::load_keys(*config);
    if (!keys) return keys.error();
    std::vector<public_key> vote_keys;
    for (const auto& each : config->mesh.nodes)
      vote_keys.push_back(each.vote_key);
    to.keys.push_back(
        ed25519_credentials(i, config->mesh.domain(), keys->vote, std::move(vote_keys)));
    to.nodes = validator_set::make(config->mesh.chain, config->mesh.epoch, node_count);
  }
  return {};
}

} // namespace

result<recorded_mesh> record_mesh(const fs::path& scratch) {
  auto mesh = real_mesh::make(node_count, scratch / "mesh");
  if (!mesh) return mesh.error();
  const auto log_of = [&](std::uint16_t i) {
    return scratch / ("record-" + real_mesh::name_of(i));
  };
  std::vector<tally::http_target> gateways;
  for (std::uint16_t i = 0; i < node_count; ++i) {
    (*mesh)->record(i, log_of(i));
    gateways.push_back((*mesh)->gateway(i));
  }
  auto made = stage(**mesh, std::move(gateways)).play();
  if (!made) return made.error();
  for (std::uint16_t i = 0; i < node_count; ++i) {
    (*mesh)->record(i, {});
    auto log = read_disk_log(log_of(i));
    if (!log) return log.error();
    made->logs.push_back(std::move(*log));
  }
  made->order = merged(made->logs);
  if (auto done = add_keys(**mesh, *made); !done) return done.error();
  return recorded_mesh{std::move(*mesh), std::move(*made)};
}

} // namespace tallymesh::faults
