#include "tools/tally/operations.hpp"

#include "tools/tally/loader.hpp"

namespace tallymesh::tally {

result<json::value> perform(http_client& client, std::string_view contract,
                            std::string_view action, json::object arguments) {
  const auto id = new_operation_id().hex();
  const auto body = json::serialize(json::value{{"id", id},
                                                {"contract", contract},
                                                {"action", action},
                                                {"arguments", std::move(arguments)}});
  auto answer = post_json(client, "/v1/operations?wait=finalized&timeout_ms=30000", body,
                          {std::chrono::milliseconds(40'000)});
  // It may have arrived all the same: whoever sends it anew would have it done twice.
  if (!answer && answer.error().code == errc::unavailable)
    return make_error(errc::unavailable, answer.error().context + "; whether operation " + id
                                             + " was done says: tally trace " + id);
  if (!answer) return answer.error();
  if (member(*answer, "result") == nullptr)
    return make_error(errc::unavailable,
                      "operation " + id
                          + " is not final after 30 s; ask again with: tally trace " + id);
  return answer;
}

bool is_done(const json::value& receipt) {
  const auto* ok = member(receipt, "ok");
  return ok != nullptr && ok->is_bool() && ok->get_bool();
}

std::string reason_of(const json::value& receipt) {
  auto text = text_at(receipt, "result", text_at(receipt, "status"));
  if (const auto detail = text_at(receipt, "detail"); !detail.empty())
    text += " (" + detail + ")";
  if (const auto meaning = text_at(receipt, "description"); !meaning.empty())
    text += ": " + meaning;
  return text;
}

static std::string rows_of(std::string_view table) {
  return "/v1/tables/" + url_encoded(table) + "/rows";
}

result<std::vector<json::value>> list_table(http_client& client, std::string_view table,
                                            const std::string& query, std::size_t most) {
  constexpr std::size_t page = 1000; // the most that a gateway gives at once
  std::vector<json::value> all;
  for (std::string next; all.size() < most;) {
    auto path =
        rows_of(table) + "?limit=" + std::to_string(std::min(page, most - all.size())) + query;
    if (!next.empty()) path += "&after=" + url_encoded(next);
    const auto answer = get_json(client, path);
    if (!answer) return answer.error();
    for (const auto& each : list_at(*answer, "rows"))
      if (const auto* row = member(each, "row")) all.push_back(*row);
    next = text_at(*answer, "next");
    if (next.empty()) break;
  }
  return all;
}

result<std::optional<json::value>> find_row(http_client& client, std::string_view table,
                                            const std::vector<std::string>& key) {
  auto path = rows_of(table) + "/";
  for (std::size_t i = 0; i < key.size(); ++i)
    (path += i > 0 ? "," : "") += url_encoded(key[i]);
  const auto answer = get_json(client, path);
  if (!answer && answer.error().code == errc::not_found) return std::optional<json::value>();
  if (!answer) return answer.error();
  const auto* row = member(*answer, "row");
  return row == nullptr ? std::optional<json::value>() : std::optional(*row);
}

} // namespace tallymesh::tally
