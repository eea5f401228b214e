#include "tools/tally/contract_files.hpp"

#include "contracts/program.hpp"
#include "contracts/source_map.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

namespace tallymesh::tally {

result<std::string> contract_template(const std::string& name) {
  const bool good = !name.empty() && name.size() <= limits::max_name_bytes && name[0] >= 'a'
                    && name[0] <= 'z' && std::all_of(name.begin(), name.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                       });
  if (!good)
    return make_error(errc::bad_config,
                      name.substr(0, 80)
                          + " is no name for a contract: use a-z, 0-9 and _, a "
                            "letter first, at most 64");
  return "-- " + name + R"(: what it is for, in a sentence.

return {
  contract = ")"
         + name + R"(", version = 1,

  tables = {
    items = {
      key    = { "item_id" },
      fields = {
        item_id = text{max=32, min=1},
        amount  = decimal{scale=2, min=0},
        state   = one_of{"new", "done"},
        remark  = optional(text{max=200}),
      },
      index  = { {"state"} },
      read   = { "anyone" }, -- tiers, nodes, accounts written account@node, or anyone
      store  = { "level1", "level2" }, -- who may add and change rows
      delete = { "level1" },
    },
  },

  actions = {
    finish = {
      doc = "Close an item that is new.",
      may = { "level2" },
      params = { item_id = text{max=32, min=1} },
      run = function(ctx, p)
        local item = ctx.get("items", p.item_id)
        ctx.require(item and item.state == "new", "not_new")
        ctx.store("items", { item_id = p.item_id, state = "done" })
      end,
    },
  },

  -- Run by tally contract test, and by every node before it says whether this file is good.
  tests = {
    ["an item is finished once, by level 2"] = function(t)
      t.as("clerk@hq", "level1")
      t.store("items", { item_id = "A-1", amount = "12.50", state = "new" })
      t.refused("forbidden", "finish", { item_id = "A-1" })
      t.as("clerk@coop", "level2")
      t.run("finish", { item_id = "A-1" })
      t.equal(t.get("items", "A-1").state, "done")
      t.refused("not_new", "finish", { item_id = "A-1" })
    end,
  },
}
)";
}

result<std::string> read_contract_file(const std::string& file) {
  constexpr auto most = contracts::max_source_bytes;
  std::ifstream in(file, std::ios::binary);
  if (!in) return make_error(errc::not_found, "cannot read " + file + "; is the name right?");
  std::string text(most + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return make_error(errc::storage, "reading " + file + " failed");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > most)
    return make_error(
        errc::too_large,
        file
            + " has more than 192 KiB, the most that a contract has: what is longer "
              "could not be proposed, and so never be changed");
  return text;
}

// --- check

/// "orders.lua: tables.orders.key: …" gets the line where that is declared.
static std::string with_line(std::string context, std::string_view source,
                             const std::string& file) {
  const auto start = file.size() + 2;
  if (!context.starts_with(file + ": ")) return context; // it has a line already
  const auto end = context.find(": ", start);
  if (end == context.npos) return context;
  const auto path = std::string_view(context).substr(start, end - start);
  if (path.find(' ') != path.npos) return context;
  const auto line = contracts::source_map(source).line_of(path);
  if (line > 0) context.insert(file.size(), ":" + std::to_string(line));
  return context;
}

static std::size_t number_after(std::string_view text, std::size_t at) {
  constexpr std::size_t most = 1'000'000; // lines of a contract are fewer
  std::size_t number = 0;
  for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at)
    number = std::min(number * 10 + static_cast<std::size_t>(text[at] - '0'), most);
  return number;
}

/// From 1; empty: there are fewer.
static std::string_view line_of(std::string_view source, std::size_t number) {
  for (std::size_t line = 1; line < number && !source.empty(); ++line)
    source.remove_prefix(std::min(source.find('\n'), source.size() - 1) + 1);
  return source.substr(0, source.find('\n'));
}

std::string with_text_of_line(std::string context, std::string_view source,
                              const std::string& file) {
  if (!context.starts_with(file + ":")) return context;
  const auto number = number_after(context, file.size() + 1);
  if (number == 0) return context;
  const auto text = line_of(source, number).substr(0, 120);
  if (text.find_first_not_of(" \t\r") == text.npos) return context;
  return context + "\n  " + std::to_string(number) + " | " + printable(text);
}

/// "orders.lua:8: there is no "os"; …" gets the column where the line says it.
static std::string with_column(std::string context, std::string_view source,
                               const std::string& file) {
  if (!context.starts_with(file + ":")) return context;
  const auto end = context.find(": ", file.size() + 1);
  const auto from = context.find('"');
  if (end == context.npos || from == context.npos) return context;
  const auto said = std::string_view(context).substr(end + 2);
  if (!said.starts_with("there is no \"") && !said.starts_with("\"")) return context;
  const auto name = context.substr(from + 1, context.find('"', from + 1) - from - 1);
  const auto text = line_of(source, number_after(context, file.size() + 1));
  const auto is_part = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  for (auto at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    const auto after = at + name.size();
    if ((at > 0 && (is_part(text[at - 1]) || text[at - 1] == '.'))
        || (after < text.size() && is_part(text[after])))
      continue;
    return context.insert(end, ":" + std::to_string(at + 1));
  }
  return context;
}

result<contracts::contract> check_contract(std::string_view source, const std::string& file) {
  const auto made = contracts::program::make(source, file);
  if (made) return (*made)->declared();
  auto context = with_column(with_line(made.error().context, source, file), source, file);
  return make_error(made.error().code, with_text_of_line(std::move(context), source, file));
}

// --- what changes

namespace {

std::string grantee_text(const contracts::grantee& x) {
  using kind = contracts::grantee::kind;
  switch (x.what) {
  case kind::anyone:
    return "anyone";
  case kind::author:
    return "author";
  case kind::tier:
    return std::string(contracts::to_string(x.at));
  default:
    return x.name;
  }
}

std::string grantees_text(const std::vector<contracts::grantee>& list) {
  std::string text;
  for (const auto& each : list)
    text += (text.empty() ? "" : ", ") + grantee_text(each);
  return text.empty() ? "no one" : text;
}

std::string fields_text(const contracts::table& of, const contracts::field_numbers& numbers) {
  std::string text;
  for (const auto number : numbers)
    text += (text.empty() ? "" : ", ") + of.fields[number].name;
  return "{" + text + "}";
}

using lines = std::vector<std::string>;

void compare_right(lines& out, const std::string& of, const char* right,
                   const std::vector<contracts::grantee>& before,
                   const std::vector<contracts::grantee>& after) {
  const auto was = grantees_text(before), is = grantees_text(after);
  if (was != is) out.push_back(of + ": who may " + right + ": was " + was + "; is " + is);
}

/// Fields or parameters, by name.
void compare_fields(lines& out, const std::string& of, const char* word,
                    const std::vector<contracts::field>& before,
                    const std::vector<contracts::field>& after) {
  const auto named = [](const auto& list, const std::string& name) {
    return std::find_if(list.begin(), list.end(),
                        [&](const auto& x) { return x.name == name; });
  };
  const auto field = of + ": " + word + " ";
  for (const auto& each : before)
    if (named(after, each.name) == after.end()) out.push_back(field + each.name + " is gone");
  for (const auto& each : after) {
    const auto was = named(before, each.name);
    if (was == before.end())
      out.push_back(field + each.name + " is new: " + each.type_text());
    else if (was->type_text() != each.type_text())
      out.push_back(field + each.name + " was " + was->type_text() + "; is "
                    + each.type_text());
  }
}

void compare_tables(lines& out, const contracts::table& before, const contracts::table& after) {
  const auto of = "table " + after.full_name;
  compare_fields(out, of, "field", before.fields, after.fields);
  if (fields_text(before, before.key) != fields_text(after, after.key))
    out.push_back(of + ": key was " + fields_text(before, before.key) + "; is "
                  + fields_text(after, after.key));
  const auto indexes_of = [](const contracts::table& x) {
    lines all;
    for (const auto& each : x.indexes)
      all.push_back(fields_text(x, each));
    return all;
  };
  const auto was = indexes_of(before), is = indexes_of(after);
  for (const auto& each : was)
    if (std::find(is.begin(), is.end(), each) == is.end())
      out.push_back(of + ": index " + each + " is gone");
  for (const auto& each : is)
    if (std::find(was.begin(), was.end(), each) == was.end())
      out.push_back(of + ": index " + each + " is new");
  if (before.has_check != after.has_check)
    out.push_back(of + (after.has_check ? ": its check is new" : ": its check is gone"));
  compare_right(out, of, "read", before.readers, after.readers);
  compare_right(out, of, "store", before.storers, after.storers);
  compare_right(out, of, "delete", before.deleters, after.deleters);
  compare_right(out, of, "erase", before.erasers, after.erasers);
  compare_right(out, of, "distribute", before.distributors, after.distributors);
}

} // namespace

std::vector<std::string> differences_between(const contracts::contract& before,
                                             const contracts::contract& after) {
  lines out;
  if (before.version != after.version)
    out.push_back("version was " + std::to_string(before.version) + "; is "
                  + std::to_string(after.version));
  if (before.author_signs != after.author_signs)
    out.push_back(after.author_signs ? "every operation needs its author's signature now"
                                     : "operations need no author's signature any more");
  for (const auto& each : before.tables)
    if (!after.find_table(each.name)) out.push_back("table " + each.full_name + " is gone");
  for (const auto& each : after.tables) {
    if (const auto* was = before.find_table(each.name))
      compare_tables(out, *was, each);
    else
      out.push_back("table " + each.full_name + " is new, with "
                    + std::to_string(each.fields.size()) + " fields");
  }
  for (const auto& each : before.actions)
    if (!after.find_action(each.name)) out.push_back("action " + each.name + " is gone");
  for (const auto& each : after.actions) {
    const auto of = "action " + each.name;
    const auto* was = before.find_action(each.name);
    if (was == nullptr) {
      out.push_back(of + " is new, for " + grantees_text(each.may));
      continue;
    }
    compare_fields(out, of, "parameter", was->params, each.params);
    compare_right(out, of, "call it", was->may, each.may);
  }
  return out;
}

namespace {

/// A file that is gone with the object.
class scratch_file {
public:
  explicit scratch_file(std::string_view text) {
    const int file = ::mkstemp(name_);
    if (file < 0) return;
    std::ofstream(name_, std::ios::binary) << text;
    ::close(file);
  }
  ~scratch_file() { ::unlink(name_); }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  const char* name() const { return name_; }

private:
  char name_[32] = "/tmp/tally-diff-XXXXXX";
};

} // namespace

std::string text_difference(std::string_view before, const std::string& before_name,
                            std::string_view after, const std::string& after_name) {
  const scratch_file old_text(before), new_text(after);
  int ends[2];
  if (::pipe(ends) != 0) return "the texts differ (no pipe for diff)\n";
  const auto child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::execlp("diff", "diff", "-u", "--label", before_name.c_str(), "--label",
             after_name.c_str(), old_text.name(), new_text.name(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string out;
  char part[4096];
  for (ssize_t size; (size = ::read(ends[0], part, sizeof part)) > 0;)
    out.append(part, static_cast<std::size_t>(size));
  ::close(ends[0]);
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (out.empty())
    return "the texts differ; diff (of diffutils) could not be run to show where\n";
  std::string harmless;
  for (std::size_t at = 0; at < out.size();) {
    const auto end = std::min(out.find('\n', at), out.size());
    harmless += printable(std::string_view(out).substr(at, end - at)) + '\n';
    at = end + 1;
  }
  return harmless;
}

} // namespace tallymesh::tally
