#include "tools/tally/subscriber.hpp"

#include "tools/tally/loader.hpp"

#include <iostream>
#include <thread>

namespace tallymesh::tally {

namespace {

constexpr int page_rows = 100;
constexpr std::uint64_t wait_ms = 20'000;
constexpr std::chrono::milliseconds between_attempts{500};
/// Of a chain's digest, in a line: enough to tell meshes apart.
constexpr std::size_t chain_letters = 16;

/// What stands in the line behind number and inbox: the delivery's other members.
std::string rest_of(const json::value& delivery) {
  json::object others = delivery.is_object() ? delivery.get_object() : json::object();
  others.erase("number");
  others.erase("inbox");
  auto text = json::serialize(others);
  text[0] = ',';
  return others.empty() ? "}" : text;
}

} // namespace

subscriber::subscriber(subscription what, http_target target)
    : what_(std::move(what)), client_(std::move(target)) {}

result<void> subscriber::run() {
  if (auto good = identify(); !good) return good;
  if (!what_.file.empty()) {
    auto opened = inbox_file::open(what_.file, inbox_);
    if (!opened) return opened.error();
    file_.emplace(std::move(*opened));
  }
  // Always from the oldest that is still to be taken: it may be written down already and not
  // acknowledged, or a writer before may have passed it over because it wanted other tables.
  for (;;) {
    const auto got = next_page();
    if (!got) return got.error();
    if (!got->deliveries.empty()) {
      if (auto good = keep(got->deliveries); !good) return good;
      if (auto good = acknowledge(got->deliveries); !good) return good;
    }
    const bool over = got->deliveries.empty() && after_ == got->next;
    after_ = got->next;
    if (over && !what_.follow) return {};
  }
}

result<void> subscriber::identify() {
  const auto status = ask("/v1/status");
  if (!status) return status.error();
  inbox_ =
      text_at(*status, "node") + " of " + text_at(*status, "chain").substr(0, chain_letters);
  return {};
}

/// Returns when they are where nothing takes them away again: as far as standard output goes,
/// that is its reader's to see to.
result<void> subscriber::keep(const std::vector<inbox_file::delivery>& all) {
  if (file_) return file_->append(all);
  for (const auto& each : all)
    std::cout << inbox_file::line_of(inbox_, each) << '\n';
  std::cout.flush();
  if (std::cout) return {};
  return make_error(errc::storage, "the output cannot be written any more");
}

/// Those and no other: what stands between them in the inbox may be somebody else's to take.
/// Sent again under its own id until it is final: it takes effect once.
result<void> subscriber::acknowledge(const std::vector<inbox_file::delivery>& all) {
  json::array numbers;
  for (const auto& each : all)
    numbers.emplace_back(each.number);
  const auto body = json::serialize(
      json::object{{"id", new_operation_id().hex()}, {"numbers", std::move(numbers)}});
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

std::string subscriber::path() const {
  auto path = "/v1/deliveries?limit=" + std::to_string(page_rows)
              + "&wait_ms=" + std::to_string(what_.follow ? wait_ms : 0);
  if (after_) path += "&after=" + std::to_string(*after_);
  if (!what_.table.empty()) path += "&table=" + url_encoded(what_.table);
  return path;
}

result<subscriber::page> subscriber::next_page() {
  const auto answer = ask(path());
  if (!answer) return answer.error();
  page made;
  for (const auto& each : list_at(*answer, "deliveries")) {
    const auto number = number_at(each, "number");
    if (number <= 0) return make_error(errc::malformed, "a delivery has no number");
    made.deliveries.push_back({number, rest_of(each)});
  }
  made.next = number_at(*answer, "next");
  return made;
}

/// A node that is being started again is asked anew, until it is too long.
result<json::value> subscriber::ask(const std::string& path, const std::string& body) {
  const auto begun = std::chrono::steady_clock::now();
  for (bool told = false;;) {
    const call_options patient{std::chrono::milliseconds(wait_ms + 10'000)};
    auto answer = body.empty() ? get_json(client_, path, patient)
                               : post_json(client_, path, body, patient);
    const bool passes = !answer
                        && (answer.error().code == errc::unavailable
                            || answer.error().code == errc::overloaded);
    if (!passes || std::chrono::steady_clock::now() - begun > what_.give_up) return answer;
    if (!std::exchange(told, true))
      std::cerr << "waiting for the node: " << answer.error().context << '\n';
    std::this_thread::sleep_for(between_attempts);
  }
}

} // namespace tallymesh::tally
