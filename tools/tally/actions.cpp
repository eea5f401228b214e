#include "tools/tally/actions.hpp"

#include "tools/tally/operations.hpp"
#include "tools/tally/output.hpp"

#include <ctime>
#include <iostream>

namespace tallymesh::tally {

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

static std::string rows_path(std::string_view table) {
  return "/v1/tables/" + url_encoded(table) + "/rows";
}

result<std::vector<json::value>>
all_rows(http_client& client, std::string_view table,
         const std::vector<std::pair<std::string, std::string>>& conditions) {
  auto first = rows_path(table) + "?limit=1000";
  for (const auto& [field, text] : conditions)
    first += "&" + url_encoded(field) + "=" + url_encoded(text);
  std::vector<json::value> rows;
  for (std::string path = first; !path.empty();) {
    const auto answer = get_json(client, path);
    if (!answer) return answer.error();
    for (const auto& each : list_at(*answer, "rows"))
      if (const auto* row = member(each, "row")) rows.push_back(*row);
    const auto next = text_at(*answer, "next");
    path = next.empty() ? "" : first + "&after=" + url_encoded(next);
  }
  return rows;
}

result<json::value> get_row(http_client& client, std::string_view table,
                            const std::vector<std::string>& key) {
  auto path = rows_path(table) + "/";
  for (const auto& each : key)
    (path += &each == key.data() ? "" : ",") += url_encoded(each);
  const auto answer = get_json(client, path);
  if (!answer) return answer.error();
  const auto* row = member(*answer, "row");
  if (row == nullptr || !row->is_object())
    return make_error(errc::not_found, "there is no such row in " + std::string(table));
  return *row;
}

std::string time_text(std::int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  char text[64];
  if (ms <= 0 || ::localtime_r(&seconds, &parts) == nullptr) return "-";
  const auto size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return std::string(text, size);
}

} // namespace tallymesh::tally
