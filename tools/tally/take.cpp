// `tally take`: a subscriber. Takes what was distributed to its node, writes it down, and says
// on the chain that it has it.
#include "tools/tally/inbox_file.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"

#include <iostream>
#include <thread>

namespace tallymesh::tally {

namespace {

constexpr int page_rows = 100;
constexpr std::uint64_t wait_ms = 20'000;
constexpr std::chrono::milliseconds between_attempts{500};

struct take_options {
  place where;
  std::string table, file;
  bool follow = false;
  std::uint64_t give_up_s = 120;
};

/// What one page brought.
struct taken_page {
  std::vector<std::string> lines;
  std::int64_t first = 0, last = 0; ///< numbers; 0: nothing
  std::int64_t next = 0;
};

taken_page page_of(const json::value& answer) {
  taken_page made;
  for (const auto& each : list_at(answer, "deliveries")) {
    made.lines.push_back(json::serialize(each));
    made.last = number_at(each, "number");
    if (made.first == 0) made.first = made.last;
  }
  made.next = number_at(answer, "next");
  return made;
}

class subscriber {
public:
  subscriber(const take_options& options, http_target target)
      : options_(options), client_(std::move(target)) {
    if (!options_.file.empty()) return;
    keep_ = [](const taken_page& page) -> result<void> {
      for (const auto& each : page.lines)
        std::cout << each << '\n';
      std::cout.flush();
      if (std::cout) return {};
      return make_error(errc::storage, "the output cannot be written any more");
    };
  }

  result<void> run() {
    std::optional<inbox_file> inbox;
    if (!options_.file.empty()) {
      auto opened = inbox_file::open(options_.file);
      if (!opened) return opened.error();
      inbox.emplace(std::move(*opened));
      keep_ = [&](const taken_page& page) { return inbox->append(page.lines, page.last); };
      if (inbox->last() > 0) {
        after_ = inbox->last();
        if (auto good = acknowledge_old(inbox->last()); !good) return good;
      }
    }
    for (;;) {
      const auto answer = ask(path(options_.follow ? wait_ms : 0));
      if (!answer) return answer.error();
      const auto page = page_of(*answer);
      if (page.last > 0) {
        if (auto good = keep_(page); !good) return good;
        if (auto good = acknowledge(page.first, page.last); !good) return good;
      }
      const bool over = page.last == 0 && after_ == page.next;
      after_ = page.next;
      if (over && !options_.follow) return {};
    }
  }

private:
  std::string path(std::uint64_t patience_ms) const {
    auto path = "/v1/deliveries?limit=" + std::to_string(page_rows)
                + "&wait_ms=" + std::to_string(patience_ms);
    if (after_) path += "&after=" + std::to_string(*after_);
    if (!options_.table.empty()) path += "&table=" + url_encoded(options_.table);
    return path;
  }

  /// What a subscriber before had written down, and was ended before it could say so.
  result<void> acknowledge_old(std::int64_t written) {
    std::optional<std::int64_t> place;
    std::swap(place, after_);
    for (;;) {
      const auto answer = ask(path(0));
      if (!answer) return answer.error();
      const auto page = page_of(*answer);
      if (page.first > 0 && page.first <= written) {
        if (auto good = acknowledge(page.first, std::min(page.last, written)); !good)
          return good;
      } else if (page.first > 0 || page.next >= written || after_ == page.next) {
        break;
      }
      after_ = page.next;
    }
    after_ = place;
    return {};
  }

  /// Sent again under its own id until it is final: it takes effect once.
  result<void> acknowledge(std::int64_t first, std::int64_t last) {
    json::object given{{"id", new_operation_id().hex()}, {"first", first}, {"last", last}};
    if (!options_.table.empty()) given["table"] = options_.table;
    const auto body = json::serialize(given);
    for (;;) {
      const auto answer = ask("/v1/deliveries/ack?timeout_ms=20000", body);
      if (!answer) return answer.error();
      if (text_at(*answer, "status") != "finalized") continue;
      const auto* ok = member(*answer, "ok");
      if (ok != nullptr && ok->is_bool() && ok->get_bool()) return {};
      return make_error(errc::forbidden, "the mesh refused the acknowledgement: "
                                             + text_at(*answer, "description"));
    }
  }

  /// A node that is being started again is asked anew, until it is too long.
  result<json::value> ask(const std::string& path, const std::string& body = {}) {
    const auto begun = std::chrono::steady_clock::now();
    for (bool told = false;;) {
      const call_options patient{std::chrono::milliseconds(wait_ms + 10'000)};
      auto answer = body.empty() ? get_json(client_, path, patient)
                                 : post_json(client_, path, body, patient);
      const bool passes = !answer
                          && (answer.error().code == errc::unavailable
                              || answer.error().code == errc::overloaded);
      if (!passes
          || std::chrono::steady_clock::now() - begun
                 > std::chrono::seconds(options_.give_up_s))
        return answer;
      if (!std::exchange(told, true))
        std::cerr << "waiting for the node: " << answer.error().context << '\n';
      std::this_thread::sleep_for(between_attempts);
    }
  }

  const take_options& options_;
  http_client client_;
  std::function<result<void>(const taken_page&)> keep_;
  std::optional<std::int64_t> after_; ///< none: from the oldest that is still to be taken
};

exit_code run_take(const take_options& options) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  const auto done = subscriber(options, at->target).run();
  return done ? exit_code::ok : report(done.error());
}

} // namespace

void add_take(command& program) {
  const auto options = std::make_shared<take_options>();
  auto& take = program.add(
      "take",
      "Take what was distributed to a node, one JSON object a line, and say on the chain that "
      "it was\nhanded over. With --to FILE nothing is lost and nothing is written twice, "
      "whatever is ended when;\nwithout it, what was printed but not acknowledged comes again.",
      {"tally take --node coop --to inbox.ndjson --follow",
       "tally take --node coop --table orders.orders"});
  take.option("--to", options->file, "Append to this file, and go on where it ends");
  take.option("--table", options->table, "Only records of this table: contract.table");
  take.flag("--follow", options->follow, "Wait for more instead of ending");
  take.option("--give-up-after", options->give_up_s,
              "Seconds to wait for a node that does not answer", 1, 86'400);
  options->where.declare(take, true);
  take.on_run([options](const invocation&) { return run_take(*options); });
}

} // namespace tallymesh::tally
