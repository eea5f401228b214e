// A node's inbox for its subscribers: what is new, by long polling, and what was taken.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/readings.hpp"
#include "actors/gateway/service.hpp"
#include "contracts/builtin_rows.hpp"
#include "contracts/distribution.hpp"
#include "storage/ledger.hpp"

#include <algorithm>
#include <boost/json.hpp>

namespace tallymesh::gateway {

namespace {

using contracts::number_in;
using contracts::text_in;
namespace distribution = contracts::distribution;

constexpr std::string_view table_name = "distribution.deliveries";
constexpr std::uint64_t usual_page = 100;
constexpr std::uint64_t longest_wait_ms = 60'000;
constexpr std::chrono::milliseconds look_again{100};

/// What a subscriber asks for.
struct wanted_page {
  std::optional<std::int64_t> after; ///< none: from the oldest that is still to be taken
  std::size_t limit = 0;
  std::string table; ///< empty: of any
};

std::variant<wanted_page, refusal> read_wanted(const call& from) {
  wanted_page page;
  const auto after =
      gateway::number_in(from, "after", 0, 0, INT64_MAX - distribution::most_at_once);
  if (const auto* bad = std::get_if<refusal>(&after)) return *bad;
  if (from.find("after") != nullptr)
    page.after = static_cast<std::int64_t>(std::get<std::uint64_t>(after));
  const auto limit =
      gateway::number_in(from, "limit", usual_page, 1, distribution::most_at_once);
  if (const auto* bad = std::get_if<refusal>(&limit)) return *bad;
  page.limit = std::get<std::uint64_t>(limit);
  if (const auto* table = from.find("table")) page.table = *table;
  return page;
}

/// The lowest number that is still to be taken, less one; the end of the inbox if there is
/// none.
result<std::int64_t> oldest_open(const reading_call& from, const contracts::table& inbox) {
  std::optional<std::int64_t> lowest;
  for (const std::string state : {"pending", "received", "applied"}) {
    const auto& index = inbox.indexes[1];
    const auto prefix = contracts::encode_key(inbox, std::span(index).first(2),
                                              value_list{from.node.node, state});
    const auto first = from.node.ledger.index_scan(table_name, 1, prefix, {}, 1);
    if (!first) return first.error();
    if (first->entries.empty()) continue;
    const auto number = number_in(contracts::stored_row(first->entries.front().row), "number");
    lowest = std::min(lowest.value_or(number), number);
  }
  if (lowest) return *lowest - 1;
  const auto* inboxes = from.find_table("distribution.inboxes");
  TALLYMESH_INVARIANT(inboxes != nullptr);
  const auto key = contracts::key_of(*inboxes, value_list{from.node.node});
  const auto row = from.node.ledger.row("distribution.inboxes", *key);
  if (!row) return row.error();
  return row->row ? number_in(contracts::stored_row(*row->row), "last") : 0;
}

result<void> write_delivery(json_out& out, const reading_call& from, const contracts::table& of,
                            const value_map& delivery) {
  const auto& key = *find(delivery, "row_key")->as<bytes>();
  const auto row = from.node.ledger.row(of.full_name, key);
  if (!row) return row.error();
  const auto values = contracts::decode_key(of, of.key, key);
  if (!values) return values.error();
  out.begin_object().field("number", number_in(delivery, "number"));
  out.field("table", of.full_name).key("key").typed(value(*values));
  out.key("row"); // as it is now, which is at least as new as what was distributed
  if (row->row)
    out.typed(contracts::stored_row(*row->row));
  else
    out.null();
  out.field("height", number_in(delivery, "height"));
  out.field("author", text_in(delivery, "author"));
  out.field("distributed_ms", number_in(delivery, "distributed_ms"));
  if (const auto* deadline = find(delivery, "deadline_ms"))
    out.key("deadline_ms").typed(*deadline);
  out.field("state", text_in(delivery, "state")).end_object();
  return {};
}

/// A page, and whether it says anything that its reader did not know.
struct inbox_page {
  response answer;
  bool is_news = false;
};

inbox_page failed(const error& why) { return {problem(why), true}; }

inbox_page read_inbox(const reading_call& from) {
  const auto wanted = read_wanted(from.what);
  if (const auto* bad = std::get_if<refusal>(&wanted)) return {problem(*bad), true};
  const auto& page = std::get<wanted_page>(wanted);
  const auto* inbox = from.find_table(table_name);
  if (inbox == nullptr)
    return {problem(refuse_as(errc::not_found, "this mesh distributes nothing")), true};
  auto after = page.after ? result<std::int64_t>(*page.after) : oldest_open(from, *inbox);
  if (!after) return failed(after.error());
  const auto start =
      contracts::encode_key(*inbox, inbox->key, value_list{from.node.node, *after});
  const auto rows = from.node.ledger.rows(table_name, start, distribution::most_at_once);
  if (!rows) return failed(rows.error());
  inbox_page made;
  std::string body;
  json_out out(body);
  out.begin_object().key("deliveries").begin_array();
  std::size_t taken = 0;
  auto next = *after;
  for (const auto& each : *rows) {
    const auto delivery = contracts::stored_row(each.row);
    if (text_in(delivery, "node") != from.node.node || taken == page.limit
        || (taken > 0 && body.size() > from.page_bytes)
        || number_in(delivery, "number") > *after + distribution::most_at_once)
      break;
    next = number_in(delivery, "number");
    if (!distribution::is_open(delivery)) continue;
    if (!page.table.empty() && page.table != text_in(delivery, "table")) continue;
    const auto* of = from.find_table(text_in(delivery, "table"));
    if (!distribution::may_take(of, delivery, from.reader())) continue;
    if (auto good = write_delivery(out, from, *of, delivery); !good)
      return failed(good.error());
    ++taken;
  }
  out.end_array().field("next", next).end_object();
  // A page of what is done with is news as well: its reader asks on behind it.
  made.is_news = taken > 0 || next >= *after + distribution::most_at_once;
  made.answer = json_answer(std::move(body));
  return made;
}

} // namespace

void service::deliver(const subscriber_ptr& who) {
  const auto contracts = node_.contracts();
  const auto page = read_inbox({node_, *contracts, who->what, who->who, settings_.page_bytes});
  if (page.is_news && deliveries_.leave(who)) who->answer(page.answer);
}

/// What an expired or stopped one gets: the page without news.
void service::end_waiting(const subscriber_ptr& who) {
  const auto contracts = node_.contracts();
  who->answer(
      read_inbox({node_, *contracts, who->what, who->who, settings_.page_bytes}).answer);
}

void service::read_deliveries(const admitted& what, const answer_function& answer) {
  const auto wait = gateway::number_in(what.what, "wait_ms", 0, 0, longest_wait_ms);
  if (const auto* bad = std::get_if<refusal>(&wait)) return answer(problem(*bad));
  const auto who =
      std::make_shared<waiting_subscriber>(waiting_subscriber{what.what, what.who, answer, {}});
  const auto wait_ms = std::get<std::uint64_t>(wait);
  if (wait_ms == 0) return end_waiting(who);
  who->deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  // Into the room before the look into the ledger: a block stored in between finds it there.
  if (!deliveries_.enter(who))
    return answer(
        problem(refuse_as(errc::overloaded, "too many subscribers wait on this node")));
  hooks_.wake_at(who->deadline);
  deliver(who);
}

void service::wake_subscribers(const execution& what) {
  if (deliveries_.empty()) return;
  const auto changed = std::any_of(what.changes.begin(), what.changes.end(),
                                   [](const change& x) { return x.table == table_name; });
  if (!changed) return;
  look_for_subscribers();
}

/// One task looks for all of them, and for all blocks until it begins. Never on the thread that
/// executes blocks: if there is no room for the task it is tried again.
void service::look_for_subscribers() {
  if (looking_.exchange(true)) return;
  const bool taken = hooks_.run([self = shared_from_this()] {
    self->looking_ = false; // before the look: a block that comes now needs another one
    for (const auto& who : self->deliveries_.all())
      self->deliver(who);
  });
  if (taken) return;
  looking_ = false;
  look_missed_ = true;
  hooks_.wake_at(std::chrono::steady_clock::now() + look_again);
}

/// {"numbers": [18, 20]} as the operation names them: first, last, and which between.
static std::optional<refusal> name_numbers(boost::json::object& given) {
  const auto bad = [] {
    return refuse_as(errc::malformed,
                     "\"numbers\" is a list of 1 to 1000 numbers of "
                     "deliveries that ascend, within a thousand of each other");
  };
  const auto* found = given.if_contains("numbers");
  if (found == nullptr) return std::nullopt;
  const auto* list = found->if_array();
  if (list == nullptr || list->empty() || given.contains("first") || given.contains("last")
      || given.contains("only"))
    return bad();
  const auto* first = list->front().if_int64();
  std::int64_t last = -1;
  bytes which;
  for (const auto& each : *list) {
    const auto* number = each.if_int64();
    if (first == nullptr || number == nullptr || *number <= last
        || *number - *first >= distribution::most_at_once)
      return bad();
    last = *number;
    const auto place = static_cast<std::size_t>(last - *first);
    which.resize(place / 8 + 1);
    which[place / 8] = static_cast<std::uint8_t>(which[place / 8] | 1u << place % 8);
  }
  const auto from = *first;
  given.erase("numbers");
  given["first"] = from;
  given["last"] = last;
  given["only"] = to_hex(which);
  return std::nullopt;
}

/// An acknowledgement is an operation of the account that took the rows.
void service::acknowledge(const admitted& what, request from, const answer_function& answer) {
  namespace json = boost::json;
  json::error_code failure;
  json::parse_options options;
  options.max_depth = 4;
  auto given = json::parse(from.body, failure, {}, options);
  if (failure || !given.is_object())
    return answer(problem(refuse_as(
        errc::malformed, "an acknowledgement is an object: {\"first\": 1, \"last\": 17}")));
  if (const auto bad = name_numbers(given.get_object())) return answer(problem(*bad));
  json::object operation{{"contract", "distribution"}, {"action", "hand_over"}};
  if (auto* id = given.get_object().if_contains("id")) {
    operation["id"] = *id;
    given.get_object().erase("id");
  }
  operation["arguments"] = std::move(given);
  from.body = json::serialize(operation);
  from.content_type = "application/json";
  auto as_operation = what;
  as_operation.what.query.emplace_back("wait", "finalized");
  submit(as_operation, from, answer);
}

} // namespace tallymesh::gateway
