#include "tools/tally/operations.hpp"

#include "tools/tally/loader.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <iostream>

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

exit_code act(const place& where, std::string_view contract, std::string_view action,
              json::object arguments, const invocation& told) {
  const auto at = find_gateway(where);
  if (!at) return report(at.error());
  http_client client(at->target);
  const auto receipt = perform(client, contract, action, std::move(arguments));
  if (!receipt) {
    report(receipt.error());
    // Refused before it was sent on is refused all the same.
    return receipt.error().code == errc::malformed || receipt.error().code == errc::forbidden
               ? exit_code::differs
               : exit_code::failed;
  }
  const bool done = is_done(*receipt);
  if (told.json()) {
    print_json(*receipt);
  } else if (done) {
    std::cout << "done at height " << number_at(*receipt, "height") << ", operation "
              << text_at(*receipt, "id") << '\n';
  } else {
    std::cout << painted(colour::red, "refused: " + printable(reason_of(*receipt))) << '\n';
  }
  return done ? exit_code::ok : exit_code::differs;
}

// --- tables

static std::string rows_of(std::string_view table) {
  return "/v1/tables/" + url_encoded(table) + "/rows";
}

std::string where_text(const std::vector<std::pair<std::string, std::string>>& conditions) {
  std::string text;
  for (const auto& [field, wanted] : conditions)
    text += "&" + url_encoded(field) + "=" + url_encoded(wanted);
  return text;
}

/// `page`: the most rows of one answer.
static result<void> each_row_of(http_client& client, std::string_view table,
                                const std::string& query, std::size_t page,
                                const std::function<bool(const json::value&)>& visit) {
  for (std::string next;;) {
    auto path = rows_of(table) + "?limit=" + std::to_string(page) + query;
    if (!next.empty()) path += "&after=" + url_encoded(next);
    const auto answer = get_json(client, path);
    if (!answer) return answer.error();
    for (const auto& each : list_at(*answer, "rows"))
      if (const auto* row = member(each, "row"); row != nullptr && !visit(*row)) return {};
    next = text_at(*answer, "next");
    if (next.empty()) return {};
  }
}

constexpr std::size_t most_a_page = 1000; // the most that a gateway gives at once

result<void> each_row(http_client& client, std::string_view table, const std::string& query,
                      const std::function<bool(const json::value&)>& visit) {
  return each_row_of(client, table, query, most_a_page, visit);
}

result<std::vector<json::value>> list_table(http_client& client, std::string_view table,
                                            const std::string& query, std::size_t most) {
  std::vector<json::value> all;
  const auto keep = [&](const json::value& row) {
    all.push_back(row);
    return all.size() < most;
  };
  if (auto good = each_row_of(client, table, query, std::min(most_a_page, most), keep); !good)
    return good.error();
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
