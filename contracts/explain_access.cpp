#include "contracts/explain_access.hpp"

#include "contracts/source_map.hpp"

namespace tallymesh::contracts {

std::string text_of(const grantee& x) {
  switch (x.what) {
  case grantee::kind::anyone:
    return "anyone";
  case grantee::kind::author:
    return "author";
  case grantee::kind::tier:
    return std::string(to_string(x.at));
  case grantee::kind::contract:
    return "contract:" + x.name;
  case grantee::kind::node:
  case grantee::kind::account:
    break;
  }
  return x.name;
}

namespace {

class explanation {
public:
  explanation(const contract_entry& of, const actor& who, bool is_author)
      : lines_(of.source), who_(who), is_author_(is_author) {}

  void add(std::string right, const std::string& path, const std::vector<grantee>& list) {
    explained_right made{.right = std::move(right), .given = false, .by = {}, .line = 0};
    for (std::size_t i = 0; i < list.size() && !made.given; ++i) {
      const bool covers =
          covered({list[i]}, who_) || (is_author_ && list[i].what == grantee::kind::author);
      if (!covers) continue;
      made.given = true;
      made.by = text_of(list[i]);
      made.line = lines_.line_of(path + "[" + std::to_string(i + 1) + "]");
    }
    if (!made.given) made.line = lines_.line_of(path);
    all_.push_back(std::move(made));
  }

  std::vector<explained_right> take() { return std::move(all_); }

private:
  source_map lines_;
  const actor& who_;
  bool is_author_;
  std::vector<explained_right> all_;
};

} // namespace

std::vector<explained_right> explain_access(const contract_entry& of, const table& about,
                                            const actor& who, bool is_author) {
  explanation made(of, who, is_author);
  const auto path = "tables." + about.name + ".";
  made.add("read", path + "read", about.readers);
  made.add("store", path + "store", about.storers);
  made.add("delete", path + "delete", about.deleters);
  made.add("erase", path + "erase", about.erasers);
  made.add("distribute", path + "distribute", about.distributors);
  for (const auto& [field, list] : about.hidden) {
    const auto& name = about.fields[field].name;
    made.add("see " + name, path + "hide." + name, list);
  }
  for (const auto& each : of.declared.actions)
    made.add("call " + each.name, "actions." + each.name + ".may", each.may);
  return made.take();
}

} // namespace tallymesh::contracts
