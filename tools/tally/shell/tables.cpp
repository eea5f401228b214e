#include "tools/tally/shell/tables.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::tally {

using namespace introspection;

namespace {

bytes raw_at(const value_map& from, std::string_view key) {
  const auto* found = find(from, key);
  const auto* raw = found == nullptr ? nullptr : found->as<bytes>();
  return raw == nullptr ? bytes{} : *raw;
}

/// A key's bytes for a person: its text if it reads as one.
std::string key_text(const bytes& key) {
  std::string text;
  bool readable = true;
  for (const auto byte : key) {
    if (byte >= 0x20 && byte < 0x7f)
      text.push_back(static_cast<char>(byte));
    else if (byte != 0 && byte != 1)
      readable = false;
  }
  return readable && !text.empty() ? "\"" + text + "\"" : "0x" + to_hex(key);
}

const table_page::row* row_of(const table_page& x, const bytes& key) {
  const auto at = x.rows.find(key);
  return at == x.rows.end() ? nullptr : &at->second;
}

/// One holds the record and the other none: it was deleted since, or not yet stored, unless the
/// one without it had executed what stored it, and the other all that the first had.
bool contradicts_absence(const table_page& with, const table_page::row& row,
                         const table_page& without) {
  return row.height <= without.before && without.after <= with.before;
}

bool contradict(const table_page& a, const table_page& b, const bytes& key) {
  const auto *of_a = row_of(a, key), *of_b = row_of(b, key);
  if (of_a == nullptr && of_b == nullptr) return false;
  if (of_a == nullptr) return contradicts_absence(b, *of_b, a);
  if (of_b == nullptr) return contradicts_absence(a, *of_a, b);
  if (of_a->height == of_b->height) return of_a->digest != of_b->digest;
  // Who holds the older one must not have executed the newer change.
  return of_a->height < of_b->height ? of_b->height <= a.before : of_a->height <= b.before;
}

/// Who contradicts more of the others than anyone else; empty: nobody does.
std::string odd_one(const std::vector<table_page>& pages,
                    const std::vector<std::size_t>& against) {
  const auto most = *std::max_element(against.begin(), against.end());
  if (std::count(against.begin(), against.end(), most) != 1) return "";
  return pages[static_cast<std::size_t>(std::max_element(against.begin(), against.end())
                                        - against.begin())]
      .node;
}

} // namespace

std::optional<table_page> read_page(const std::string& node, const value_map& answer,
                                    std::int64_t limit) {
  table_page out;
  out.node = node;
  out.before = number_at(answer, "height");
  out.after = number_at(answer, "height_after");
  for (const auto* each : maps_at(answer, "rows"))
    out.rows[raw_at(*each, "key")] = {raw_at(*each, "digest"), number_at(*each, "height")};
  const auto count = number_at(answer, "count");
  out.whole = count < limit;
  out.last = raw_at(answer, "last");
  if (static_cast<std::int64_t>(out.rows.size()) != count) return std::nullopt;
  if (!out.rows.empty() && out.rows.rbegin()->first != out.last) return std::nullopt;
  return out;
}

std::optional<bytes> common_end(const std::vector<table_page>& pages) {
  std::optional<bytes> out;
  for (const auto& each : pages)
    if (!each.whole && (!out || each.last < *out)) out = each.last;
  return out;
}

std::optional<table_difference> first_difference(const std::string& table,
                                                 const std::vector<table_page>& pages) {
  const auto end = common_end(pages);
  std::set<bytes> keys;
  for (const auto& page : pages)
    for (const auto& [key, row] : page.rows)
      if (!end || key <= *end) keys.insert(key);
  for (const auto& key : keys) {
    std::vector<std::size_t> against(pages.size());
    for (std::size_t a = 0; a < pages.size(); ++a)
      for (std::size_t b = 0; b < pages.size(); ++b)
        against[a] += a != b && contradict(pages[a], pages[b], key);
    if (std::all_of(against.begin(), against.end(), [](auto each) { return each == 0; }))
      continue;
    table_difference out{table, key_text(key), {}, odd_one(pages, against)};
    for (const auto& page : pages) {
      const auto* row = row_of(page, key);
      out.holds.emplace_back(page.node,
                             row == nullptr ? "has none" : to_hex(row->digest).substr(0, 8));
    }
    return out;
  }
  return std::nullopt;
}

} // namespace tallymesh::tally
