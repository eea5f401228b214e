// The runs themselves: actions, migrations, checks and tests, and what comes of them.
#include "contracts/program.hpp"

#include "contracts/library.hpp"
#include "contracts/program_run.hpp"
#include "contracts/program_values.hpp"
#include "contracts/reading.hpp"

#include <algorithm>
#include <functional>
#include <lua.hpp>
#include <map>

namespace tallymesh::contracts {

namespace {

using references = std::map<std::string, int, std::less<>>; ///< into Lua's registry

/// One state with the file in it. Checks have a second one, for they run while an action does.
struct loaded_file {
  explicit loaded_file(const parse_limits& limits) : box(limits) {}

  made_types types; // the state's types point into it
  references actions, checks, tests;
  int migrate = LUA_NOREF, context = LUA_NOREF, test_tool = LUA_NOREF;
  bool busy = false;
  sandbox box;
};

class compiled_program final : public program {
public:
  explicit compiled_program(const vm_limits& limits) : limits_(limits), main_(limits.file) {}

  result<void> load(std::string_view source, std::string_view file_name,
                    const parse_options& options);

  const contract& declared() const override { return declared_; }
  run_outcome run(std::string_view action_name, const value_map& params, host& on) override;
  run_outcome run_migrate(host& on) override;
  run_outcome run_check(std::string_view table_name, const value_map& row,
                        gas_meter& gas) override;
  run_outcome run_test(std::string_view sentence, test_host& on, std::uint64_t& purse) override;

private:
  result<contract> load_into(loaded_file& file, std::string_view source,
                             const parse_options& options);
  run_outcome run_on_host(int function, const value_map* params, host& on);
  run_outcome outcome_of(sandbox::run_end end, const checked<void>& paid) const;

  vm_limits limits_;
  std::string file_name_;
  contract declared_;
  loaded_file main_;
  std::unique_ptr<loaded_file> checking_; ///< null: no table has a check
};

/// While a file's state is at work.
class at_work {
public:
  at_work(loaded_file& file, run_in_progress& run) : file_(file) {
    file_.busy = true;
    file_.box.user = &run;
  }
  ~at_work() {
    file_.box.user = nullptr;
    file_.busy = false;
  }
  at_work(const at_work&) = delete;
  at_work& operator=(const at_work&) = delete;

private:
  loaded_file& file_;
};

/// A reference to field `name` of the table on top; LUA_REFNIL if there is none.
int reference_to(lua_State* lua, const char* name) {
  lua_getfield(lua, -1, name);
  return luaL_ref(lua, LUA_REGISTRYINDEX);
}

/// Of the contract's table on top: the functions that will be called.
void refer_to_functions(lua_State* lua, const contract& x, loaded_file& file) {
  luaL_checkstack(lua, 8, nullptr);
  lua_getfield(lua, -1, "actions");
  for (const auto& each : x.actions) {
    lua_getfield(lua, -1, each.name.c_str());
    file.actions[each.name] = reference_to(lua, "run");
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  lua_getfield(lua, -1, "tables");
  for (const auto& each : x.tables) {
    if (!each.has_check) continue;
    lua_getfield(lua, -1, each.name.c_str());
    file.checks[each.name] = reference_to(lua, "check");
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  lua_getfield(lua, -1, "tests");
  for (const auto& each : x.tests)
    file.tests[each] = reference_to(lua, each.c_str());
  lua_pop(lua, 1);
  file.migrate = reference_to(lua, "migrate");
}

bool has_checks(const contract& x) {
  for (const auto& each : x.tables)
    if (each.has_check) return true;
  return false;
}

std::string at_line(int line) { return line > 0 ? "line " + std::to_string(line) : ""; }

} // namespace

// --- loading

result<contract> compiled_program::load_into(loaded_file& file, std::string_view source,
                                             const parse_options& options) {
  auto made = read_file(file.box, file.types, source, file_name_, limits_.file, options,
                        [&](lua_State* lua, const contract& x) {
                          refer_to_functions(lua, x, file);
                          push_context(lua);
                          file.context = luaL_ref(lua, LUA_REGISTRYINDEX);
                          push_test_tool(lua);
                          file.test_tool = luaL_ref(lua, LUA_REGISTRYINDEX);
                        });
  if (made)
    file.box.seal({.bytes = limits_.run_bytes,
                   .piece_bytes = limits_.piece_bytes,
                   .stack_bytes = limits_.stack_bytes});
  return made;
}

result<void> compiled_program::load(std::string_view source, std::string_view file_name,
                                    const parse_options& options) {
  if (auto fit = check_lua(); !fit) return fit.error();
  file_name_ = shown_file_name(file_name);
  auto made = load_into(main_, source, options);
  if (!made) return made.error();
  declared_ = std::move(*made);
  if (!has_checks(declared_)) return {};
  checking_ = std::make_unique<loaded_file>(limits_.file);
  if (auto again = load_into(*checking_, source, options); !again) return again.error();
  return {};
}

result<std::unique_ptr<program>> program::make(std::string_view source,
                                               std::string_view file_name,
                                               const vm_limits& limits,
                                               const parse_options& options) {
  auto made = std::make_unique<compiled_program>(limits);
  if (auto loaded = made->load(source, file_name, options); !loaded) return loaded.error();
  return std::unique_ptr<program>(std::move(made));
}

// --- what came of a run

run_outcome compiled_program::outcome_of(sandbox::run_end end,
                                         const checked<void>& paid) const {
  run_outcome made;
  if (!end.text.empty()) name_file(end.text, file_name_);
  made.text = printable(std::move(end.text), 500);
  if (!paid) {
    made.why = paid.error().why;
    made.detail = paid.error().detail;
  } else if (end.stopped == stop_reason::refusal) {
    made.why = end.why.why;
    made.detail = std::move(end.why.detail);
  } else if (end.stopped == stop_reason::gas) {
    made.why = outcome::out_of_gas;
  } else if (end.stopped == stop_reason::memory) {
    made.why = outcome::out_of_memory;
  } else if (end.stopped == stop_reason::depth) {
    made.why = outcome::too_deep;
  } else if (!end.done) {
    made.why = outcome::contract_error;
    made.detail = at_line(end.line);
  }
  return made;
}

static run_outcome refused(outcome why, std::string_view about) {
  auto what = refuse(why, about);
  return {.why = what.why, .detail = std::move(what.detail), .returned = {}, .text = {}};
}

// --- runs

run_outcome compiled_program::run_on_host(int function, const value_map* params, host& on) {
  if (main_.busy) return refused(outcome::too_deep, declared_.name);
  run_in_progress work{.declared = &declared_, .meter = &on, .on = &on, .test_on = nullptr};
  const at_work scope(main_, work);
  value returned;
  auto end = main_.box.run_sealed(on.left(), [&](lua_State* lua) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, function);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, main_.context);
    if (params != nullptr) push_row(lua, *params);
    lua_call(lua, params != nullptr ? 2 : 1, 1);
    returned = value_at(lua, -1);
  });
  const auto paid = on.charge(end.spent);
  auto made = outcome_of(std::move(end), paid);
  if (made.ok()) made.returned = std::move(returned);
  return made;
}

run_outcome compiled_program::run(std::string_view action_name, const value_map& params,
                                  host& on) {
  const auto found = main_.actions.find(action_name);
  if (found == main_.actions.end()) return refused(outcome::unknown_action, action_name);
  return run_on_host(found->second, &params, on);
}

run_outcome compiled_program::run_migrate(host& on) {
  if (!declared_.has_migrate) return {};
  return run_on_host(main_.migrate, nullptr, on);
}

run_outcome compiled_program::run_check(std::string_view table_name, const value_map& row,
                                        gas_meter& gas) {
  if (checking_ == nullptr) return {};
  const auto found = checking_->checks.find(table_name);
  if (found == checking_->checks.end()) return {};
  TALLYMESH_INVARIANT(!checking_->busy); // a check reaches no host
  run_in_progress work{
      .declared = &declared_, .meter = &gas, .on = nullptr, .test_on = nullptr};
  const at_work scope(*checking_, work);
  bool accepted = false;
  std::string code(table_name);
  auto end = checking_->box.run_sealed(gas.left(), [&](lua_State* lua) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, found->second);
    push_row(lua, row);
    lua_call(lua, 1, 2);
    accepted = lua_toboolean(lua, -2);
    if (lua_type(lua, -1) == LUA_TSTRING && is_code(text_at(lua, -1)))
      code = std::string(text_at(lua, -1));
  });
  const auto paid = gas.charge(end.spent);
  auto made = outcome_of(std::move(end), paid);
  if (made.ok() && !accepted) return refused(outcome::check_failed, code);
  return made;
}

run_outcome compiled_program::run_test(std::string_view sentence, test_host& on,
                                       std::uint64_t& purse) {
  const auto found = main_.tests.find(sentence);
  if (found == main_.tests.end()) return refused(outcome::not_found, sentence);
  if (main_.busy) return refused(outcome::too_deep, declared_.name);
  run_in_progress work{.declared = &declared_, .meter = nullptr, .on = nullptr, .test_on = &on};
  const at_work scope(main_, work);
  auto end = main_.box.run_sealed(std::min(purse, limits_.test_gas), [&](lua_State* lua) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, found->second);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, main_.test_tool);
    lua_call(lua, 1, 0);
  });
  purse -= std::min(purse, end.spent);
  return outcome_of(std::move(end), {});
}

// --- parameters

checked<value_map> convert_params(const action& x, const value_map& given) {
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto& name = given[i].first;
    if (i > 0 && given[i - 1].first >= name) return refuse(outcome::malformed_arguments, name);
    const bool known = std::any_of(x.params.begin(), x.params.end(),
                                   [&](const field& each) { return each.name == name; });
    if (!known) return refuse(outcome::unknown_field, name);
  }
  value_map made;
  for (const auto& each : x.params) {
    const auto* found = find(given, each.name);
    if (found == nullptr || found->is_null()) {
      if (!each.optional) return refuse(outcome::missing_field, each.name);
      continue;
    }
    auto converted = convert(each, *found);
    if (!converted) return converted.error();
    made.emplace_back(each.name, std::move(*converted));
  }
  return made;
}

} // namespace tallymesh::contracts
