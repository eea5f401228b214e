// Reading tables, rows and their histories.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/cursor.hpp"
#include "actors/gateway/readings.hpp"
#include "contracts/row.hpp"
#include "storage/ledger.hpp"

#include <algorithm>

namespace tallymesh::gateway {

namespace {

constexpr std::uint64_t usual_page = 100;
constexpr std::uint64_t longest_page = 1000;

using table_or_refusal = std::variant<const contracts::table*, response>;

table_or_refusal readable_table(const reading_call& from) {
  const auto& name = from.what.path[0];
  const auto* found = from.find_table(name);
  if (!found)
    return problem(
        {404, to_string(outcome::unknown_table), "there is no table '" + name + "'"});
  if (!visible_rows(from, *found).possible())
    return problem(refuse_as(outcome::forbidden,
                             from.who.name + "@" + from.node.node + " may not read " + name));
  return found;
}

bool write_key(json_out& out, const contracts::table& table, bytes_view key) {
  const auto values = contracts::decode_key(table, table.key, key);
  if (!values) return false;
  out.typed(value(*values));
  return true;
}

response damaged_key(const contracts::table& table) {
  return problem(
      make_error(errc::damaged, "a key of " + table.full_name + " cannot be decoded"));
}

std::variant<bytes, response> key_in_path(const reading_call& from,
                                          const contracts::table& table) {
  if (from.what.key.size() != table.key.size())
    return problem(refuse_as(errc::malformed,
                             "a key of " + table.full_name + " has "
                                 + std::to_string(table.key.size())
                                 + " parts, separated by commas (a comma inside one is %2C)"));
  auto key = contracts::key_from_text(table, table.key, from.what.key);
  if (!key) return problem(key.error());
  return std::move(*key);
}

// --- lists

/// The query's fields, and the key or the index that begins with exactly them.
struct selection {
  std::optional<std::uint8_t> index; ///< none: in key order, those whose key begins so
  bytes prefix;
};

std::string list_indexes(const contracts::table& table) {
  std::string out;
  for (const auto& index : table.indexes) {
    out += out.empty() ? "[" : ", [";
    for (std::size_t i = 0; i < index.size(); ++i)
      (out += i > 0 ? ", " : "") += table.fields[index[i]].name;
    out += "]";
  }
  return out.empty() ? "none" : out;
}

/// Whether `wanted` are the first of `fields`, in any order.
bool begins_with(const contracts::table& table, const contracts::field_numbers& fields,
                 const std::vector<std::string_view>& wanted) {
  return wanted.size() <= fields.size()
         && std::all_of(fields.begin(),
                        fields.begin() + static_cast<std::ptrdiff_t>(wanted.size()),
                        [&](contracts::field_number x) {
                          return std::find(wanted.begin(), wanted.end(), table.fields[x].name)
                                 != wanted.end();
                        });
}

std::variant<selection, response> select_by(const reading_call& from,
                                            const contracts::table& table,
                                            const contracts::field_numbers& all,
                                            std::size_t count,
                                            std::optional<std::uint8_t> index) {
  const contracts::field_numbers fields(all.begin(),
                                        all.begin() + static_cast<std::ptrdiff_t>(count));
  std::vector<std::string> texts;
  for (const auto each : fields)
    texts.push_back(*from.what.find(table.fields[each].name));
  auto prefix = contracts::key_from_text(table, fields, texts);
  if (!prefix) return problem({422, to_string(prefix.error().code), prefix.error().context});
  return selection{index, std::move(*prefix)};
}

std::variant<selection, response> select(const reading_call& from,
                                         const contracts::table& table) {
  std::vector<std::string_view> wanted;
  for (const auto& [name, text] : from.what.query) {
    if (name == "limit" || name == "after") continue;
    const auto* field = table.find_field(name);
    if (!field)
      return problem(
          refuse_as(errc::malformed, "unknown query key '" + name.substr(0, 64)
                                         + "'; known are limit, after and the fields of "
                                         + table.full_name));
    const auto number = static_cast<contracts::field_number>(field - table.fields.data());
    if (contracts::is_hidden(table, number, from.reader(), false))
      return problem(refuse_as(outcome::forbidden, from.who.name + "@" + from.node.node
                                                       + " may not see " + name + " of "
                                                       + table.full_name));
    wanted.push_back(name);
  }
  if (wanted.empty()) return selection{};
  // A whole key is one row, which has a path of its own.
  if (wanted.size() < table.key.size() && begins_with(table, table.key, wanted))
    return select_by(from, table, table.key, wanted.size(), std::nullopt);
  for (std::size_t i = 0; i < table.indexes.size(); ++i)
    if (begins_with(table, table.indexes[i], wanted))
      return select_by(from, table, table.indexes[i], wanted.size(),
                       static_cast<std::uint8_t>(i));
  return problem({422, "unsupported",
                  "rows of " + table.full_name
                      + " can be selected by the first fields of its key or of an index; its "
                        "indexes: "
                      + list_indexes(table)});
}

/// What a cursor of this list is good for, and nothing else.
bytes binding_of(const contracts::table& table, const selection& by) {
  bytes out(table.full_name.begin(), table.full_name.end());
  out.push_back(0);
  out.push_back(by.index ? static_cast<std::uint8_t>(*by.index + 1) : 0);
  out.insert(out.end(), by.prefix.begin(), by.prefix.end());
  return out;
}

struct listed_row {
  bytes key;
  shared_bytes row;
  bytes place; ///< where the list goes on behind it
};
struct page {
  std::vector<listed_row> rows;
  bytes next; ///< empty: this was the last
};

bool starts_with(bytes_view whole, bytes_view prefix) {
  return whole.size() >= prefix.size()
         && std::equal(prefix.begin(), prefix.end(), whole.begin());
}

result<page> read_by_key(const reading_call& from, const contracts::table& table,
                         bytes_view prefix, bytes_view after, std::size_t limit) {
  page out;
  std::size_t held = 0;
  const auto visit = [&](bytes_view key, const storage::stored_row& row) {
    if (!starts_with(key, prefix)) return false;
    const bool is_after = !after.empty() && key.size() == after.size()
                          && starts_with(key, after); // the walk begins with it
    if (!row.row || is_after) return true;
    if (out.rows.size() == limit || held > from.page_bytes) {
      out.next = out.rows.back().place;
      return false;
    }
    const bytes copied(key.begin(), key.end());
    out.rows.push_back({copied, *row.row, copied});
    held += key.size() + row.row->size();
    return true;
  };
  const auto walked = from.node.ledger.walk_rows(
      table.full_name, {.from = after.empty() ? prefix : after, .to = {}}, visit);
  if (!walked) return walked.error();
  return out;
}

/// Bounded by what is read, which may be more than the reader is shown.
result<page> read_page(const reading_call& from, const contracts::table& table,
                       const selection& by, bytes_view after, std::size_t limit) {
  if (!by.index) return read_by_key(from, table, by.prefix, after, limit);
  auto found = from.node.ledger.index_scan(table.full_name, *by.index, by.prefix, after, limit,
                                           from.page_bytes);
  if (!found) return found.error();
  page out;
  for (auto& each : found->entries)
    out.rows.push_back({std::move(each.row_key), std::move(each.row), std::move(each.place)});
  out.next = std::move(found->next);
  return out;
}

/// Rows as they are written are longer, so the page may end before what was read does. Gives
/// where the list goes on, empty at its end; none: a key is damaged.
std::optional<bytes> write_rows(json_out& out, const std::string& body,
                                const reading_call& from, const contracts::table& table,
                                const page& read) {
  visible_rows visible(from, table);
  for (const auto& each : read.rows) {
    const auto row = visible.seen(each.key, each.row);
    if (!row) continue;
    out.begin_object().key("key");
    if (!write_key(out, table, each.key)) return std::nullopt;
    out.key("row").typed(*row).end_object();
    if (body.size() > from.page_bytes && &each != &read.rows.back()) return each.place;
  }
  return read.next;
}

} // namespace

const contracts::table* reading_call::find_table(std::string_view full_name) const {
  for (const auto& contract : contracts)
    for (const auto& table : contract.tables)
      if (table.full_name == full_name) return &table;
  return nullptr;
}

response read_tables(const reading_call& from) {
  const auto counts = from.node.ledger.tables();
  if (!counts) return problem(counts.error());
  const auto who = from.reader();
  std::string body;
  json_out out(body);
  out.begin_array();
  for (const auto& contract : from.contracts)
    for (const auto& table : contract.tables) {
      // Who may write needs the fields as well.
      if (!visible_rows(from, table).possible() && !may_store(table, who)
          && !may_delete(table, who))
        continue;
      const auto count = std::find_if(counts->begin(), counts->end(), [&](const auto& x) {
        return x.table == table.full_name;
      });
      out.begin_object().field("table", table.full_name);
      out.field("records", count == counts->end() ? 0 : count->records);
      out.key("key").begin_array();
      for (const auto i : table.key)
        out.text(table.fields[i].name);
      out.end_array().key("fields").begin_object();
      for (const auto& field : table.fields)
        out.field(field.name, field.type_text());
      out.end_object().key("indexes").begin_array();
      for (const auto& index : table.indexes) {
        out.begin_array();
        for (const auto i : index)
          out.text(table.fields[i].name);
        out.end_array();
      }
      out.end_array().end_object();
    }
  out.end_array();
  return json_answer(std::move(body));
}

response read_rows(const reading_call& from) {
  auto found = readable_table(from);
  if (auto* refused = std::get_if<response>(&found)) return std::move(*refused);
  const auto& table = *std::get<const contracts::table*>(found);
  const auto limit = number_in(from.what, "limit", usual_page, 1, longest_page);
  if (const auto* bad = std::get_if<refusal>(&limit)) return problem(*bad);
  auto selected = select(from, table);
  if (auto* refused = std::get_if<response>(&selected)) return std::move(*refused);
  const auto& by = std::get<selection>(selected);
  const auto binding = binding_of(table, by);
  bytes after;
  if (const auto* text = from.what.find("after")) {
    auto read = read_cursor(*text, binding);
    if (!read) return problem(read.error());
    after = std::move(*read);
  }
  // Taken first: the rows are at least as new as this height.
  const auto head = from.node.ledger.head();
  if (!head) return problem(head.error());
  const auto page = read_page(from, table, by, after, std::get<std::uint64_t>(limit));
  if (!page) return problem(page.error());
  std::string body;
  json_out out(body);
  out.begin_object().key("rows").begin_array();
  const auto next = write_rows(out, body, from, table, *page);
  if (!next) return damaged_key(table);
  out.end_array().key("next");
  if (next->empty())
    out.null();
  else
    out.text(make_cursor(*next, binding));
  out.field("height", head->height).end_object();
  return json_answer(std::move(body));
}

response read_row(const reading_call& from) {
  auto found = readable_table(from);
  if (auto* refused = std::get_if<response>(&found)) return std::move(*refused);
  const auto& table = *std::get<const contracts::table*>(found);
  auto key = key_in_path(from, table);
  if (auto* refused = std::get_if<response>(&key)) return std::move(*refused);
  const auto& raw = std::get<bytes>(key);
  const auto stored = from.node.ledger.row(table.full_name, raw);
  if (!stored && stored.error().code != errc::not_found) return problem(stored.error());
  const auto row = stored && stored->row ? visible_rows(from, table).seen(raw, *stored->row)
                                         : std::optional<value_map>();
  if (!row) // of another author: he does not learn that it is there
    return problem(refuse_as(errc::not_found, table.full_name + " has no such row"));
  std::string body;
  json_out out(body);
  out.begin_object().key("key");
  if (!write_key(out, table, raw)) return damaged_key(table);
  out.key("row").typed(*row);
  out.key("last_change").begin_object().field("height", stored->last.height);
  out.field("index", stored->last.index).end_object().end_object();
  return json_answer(std::move(body));
}

response read_history(const reading_call& from) {
  auto found = readable_table(from);
  if (auto* refused = std::get_if<response>(&found)) return std::move(*refused);
  const auto& table = *std::get<const contracts::table*>(found);
  const auto limit = number_in(from.what, "limit", usual_page, 1, longest_page);
  if (const auto* bad = std::get_if<refusal>(&limit)) return problem(*bad);
  auto key = key_in_path(from, table);
  if (auto* refused = std::get_if<response>(&key)) return std::move(*refused);
  const auto& raw = std::get<bytes>(key);
  bytes binding = binding_of(table, {});
  binding.insert(binding.end(), raw.begin(), raw.end());
  change_place start;
  if (const auto* text = from.what.find("before")) {
    const auto place = read_place_cursor(*text, binding);
    if (!place) return problem(place.error());
    start = *place;
  }
  const auto page = from.node.ledger.history(table.full_name, raw, start,
                                             std::get<std::uint64_t>(limit), from.page_bytes);
  if (!page) return problem(page.error());
  auto next = page->next;
  visible_rows visible(from, table);
  if (!visible.possible(raw))
    return problem(refuse_as(errc::not_found, table.full_name + " has no such row"));
  std::string body;
  json_out out(body);
  out.begin_object().key("changes").begin_array();
  for (const auto& each : page->entries) {
    out.begin_object().field("height", each.place.height).field("time_ms", each.time_ms);
    out.field("operation", each.receipt.id.hex()).key("author");
    const auto behind =
        from.node.operation_of ? from.node.operation_of(each.receipt) : std::nullopt;
    if (behind)
      out.text(behind->author + "@" + std::string(name_of(from.node.nodes, each.receipt.lane)));
    else
      out.null();
    const auto& change = each.change;
    out.field("action", change.after || change.after_erased ? "store" : "delete");
    out.key("before");
    visible.write(out, raw, change.before);
    out.key("after");
    visible.write(out, raw, change.after);
    if (change.before_erased || change.after_erased) out.field("erased", true);
    out.end_object();
    if (body.size() > from.page_bytes) {
      next = change.previous;
      break;
    }
  }
  out.end_array().key("next");
  if (next.height == 0)
    out.null();
  else
    out.text(make_place_cursor(next, binding));
  out.end_object();
  return json_answer(std::move(body));
}

} // namespace tallymesh::gateway
