#include "actors/gateway/json_in.hpp"

#include "contracts/row.hpp"
#include "messages/encoding.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

namespace tallymesh::gateway {

namespace json = boost::json;

namespace {

constexpr std::size_t deepest_json = 16;
constexpr std::size_t scratch_bytes = 32 * 1024;
/// A JSON text of this size cannot encode to more than an operation may have: the worst is a
/// short number in a list ("1,"), which becomes nine bytes.
constexpr std::size_t surely_small_bytes = limits::max_operation_bytes / 8;
/// Random bytes are drawn for so many ids at once.
constexpr std::size_t ids_per_draw = 64;

json::parse_options strict_options() {
  json::parse_options out;
  out.max_depth = deepest_json;
  return out;
}

std::string in_quotes(std::string_view name) {
  return "'" + std::string(name.substr(0, 64)) + "'";
}

std::string_view kind_of(const json::value& x) {
  switch (x.kind()) {
  case json::kind::null:
    return "null";
  case json::kind::bool_:
    return "a bool";
  case json::kind::int64:
  case json::kind::uint64:
    return "an integer";
  case json::kind::double_:
    return "a number with a fraction or beyond 64 bits";
  case json::kind::string:
    return "a string";
  case json::kind::array:
    return "an array";
  case json::kind::object:
    return "an object";
  }
  return "unknown";
}

std::optional<std::int64_t> integer_of(const json::value& x) {
  if (const auto* number = x.if_int64()) return *number;
  // Only integers beyond int64 are kept as unsigned.
  return std::nullopt;
}

refusal wrong(const contracts::field& field, std::string_view got) {
  return refuse_as(outcome::wrong_type, "field " + in_quotes(field.name) + " takes "
                                            + field.type_text() + ", not " + std::string(got));
}

/// JSON has fewer types than a contract: a string stands for what it spells.
std::optional<refusal> spelled(const contracts::field& field, std::string_view text,
                               value& out) {
  if (field.kind == contracts::field_kind::text
      || field.kind == contracts::field_kind::one_of) {
    out.data = std::string(text);
    return std::nullopt;
  }
  auto made = contracts::value_from_text(field, text);
  if (!made) return refuse_as(outcome::wrong_type, std::move(made.error().context));
  out = std::move(*made);
  return std::nullopt;
}

std::optional<refusal> typed_json(const contracts::field& field, const json::value& x,
                                  value& out) {
  switch (x.kind()) {
  case json::kind::string: {
    if (auto refused = spelled(field, x.get_string(), out)) return refused;
    break;
  }
  case json::kind::int64:
    out.data = x.get_int64();
    break;
  case json::kind::bool_:
    out.data = x.get_bool();
    break;
  case json::kind::null:
    out.data = std::monostate();
    break;
  case json::kind::double_:
  case json::kind::uint64: {
    auto refused = wrong(field, kind_of(x));
    if (field.kind == contracts::field_kind::decimal)
      refused.detail += "; write a decimal as a string: \"12.50\"";
    return refused;
  }
  default:
    return wrong(field, kind_of(x));
  }
  if (out.is_null() && field.optional) return std::nullopt; // takes the field away
  auto fitting = contracts::convert(field, out);
  if (!fitting)
    return refuse_as(fitting.error().why, "field " + in_quotes(field.name) + " takes "
                                              + field.type_text() + ", not this "
                                              + std::string(out.type_name()));
  out = std::move(*fitting);
  return std::nullopt;
}

/// Reads the members of one operation object. Throws nothing; stops at the first fault.
class draft {
public:
  draft(const reading_rules& rules, operation& out, bool& id_given)
      : rules_(rules), out_(out), id_given_(id_given) {}

  std::optional<refusal> read(const json::object& from) {
    if (auto refused = read_id(from)) return refused;
    for (const auto& member : from)
      if (auto refused = read_member(member.key(), member.value())) return refused;
    if (out_.contract.empty()) return missing("contract");
    if (out_.action.empty()) return missing("action");
    if (!arguments_) return missing("arguments");
    out_.author = rules_.author.name;
    if (auto refused = check_validity()) return refused;
    if (auto refused = read_arguments()) return refused;
    return check_signature();
  }

private:
  static refusal missing(std::string_view name) {
    return refuse_as(errc::malformed, "an operation needs \"" + std::string(name) + "\"");
  }

  std::optional<refusal> read_id(const json::object& from) {
    const auto* given = from.if_contains("id");
    if (!given || given->is_null()) return std::nullopt;
    const auto* text = given->if_string();
    const auto id = text ? operation_id::from_hex(std::string_view(*text)) : std::nullopt;
    if (!id)
      return refuse_as(errc::malformed, "\"id\" is 32 hexadecimal characters (16 bytes)");
    out_.id = *id;
    id_given_ = true;
    return std::nullopt;
  }

  std::optional<refusal> read_member(std::string_view name, const json::value& x) {
    if (name == "id") return std::nullopt;
    if (name == "contract") return read_name(name, x, out_.contract);
    if (name == "action") return read_name(name, x, out_.action);
    if (name == "arguments") {
      arguments_ = x.if_object();
      if (arguments_) return std::nullopt;
      return refuse_as(errc::malformed,
                       "\"arguments\" is an object, not " + std::string(kind_of(x)));
    }
    if (name == "valid_until") {
      const auto number = integer_of(x);
      if (!number)
        return refuse_as(errc::malformed,
                         "\"valid_until\" is an integer, milliseconds since 1970");
      out_.valid_until_ms = *number;
      given_validity_ = true;
      return std::nullopt;
    }
    if (name == "signature") {
      const auto* text = x.if_string();
      const auto raw = text ? from_hex(std::string_view(*text)) : std::nullopt;
      if (!raw || raw->size() != sizeof(signature::raw))
        return refuse_as(errc::malformed, "\"signature\" is 128 hexadecimal characters");
      std::copy(raw->begin(), raw->end(), out_.author_signature.emplace().raw.begin());
      return std::nullopt;
    }
    return refuse_as(errc::malformed, "an operation has no member " + in_quotes(name)
                                          + "; it takes id, contract, action, arguments, "
                                            "valid_until, signature");
  }

  static std::optional<refusal> read_name(std::string_view name, const json::value& x,
                                          std::string& out) {
    const auto* text = x.if_string();
    if (!text || text->empty() || text->size() > limits::max_name_bytes)
      return refuse_as(errc::malformed,
                       "\"" + std::string(name) + "\" is a name of 1 to 64 bytes");
    out.assign(text->data(), text->size());
    return std::nullopt;
  }

  std::optional<refusal> check_validity() {
    if (!given_validity_) {
      out_.valid_until_ms = rules_.now_ms + default_validity_ms;
      return std::nullopt;
    }
    if (out_.valid_until_ms <= rules_.now_ms)
      return refuse_as(outcome::expired, "\"valid_until\" lies in the past");
    if (out_.valid_until_ms - rules_.now_ms > longest_validity_ms)
      return refuse_as(outcome::out_of_range, "\"valid_until\" is more than 24 hours ahead");
    return std::nullopt;
  }

  std::optional<refusal> read_arguments() {
    const auto found = std::find_if(rules_.contracts.begin(), rules_.contracts.end(),
                                    [&](const auto& x) { return x.name == out_.contract; });
    if (found == rules_.contracts.end())
      return refuse_as(outcome::unknown_contract,
                       "there is no contract " + in_quotes(out_.contract));
    contract_ = &*found;
    if (out_.action == "store") return read_store();
    if (out_.action == "delete") return read_delete();
    if (out_.action == "erase") return read_erase();
    if (out_.action == "distribute") return read_distribute();
    if (const auto* action = contract_->find_action(out_.action)) return read_call(*action);
    return refuse_as(outcome::unknown_action,
                     "contract " + in_quotes(out_.contract) + " has no action "
                         + in_quotes(out_.action)
                         + "; store, delete, erase and distribute are in every contract");
  }

  /// An action's parameters, by the types that it declares.
  std::optional<refusal> read_call(const contracts::action& action) {
    if (!contracts::may_call(action, who()))
      return refuse_as(outcome::forbidden, std::string(rules_.author.name) + "@"
                                               + std::string(rules_.node) + " may not call "
                                               + out_.contract + "." + action.name);
    for (const auto& member : *arguments_) {
      const std::string_view name = member.key();
      const auto param = std::find_if(action.params.begin(), action.params.end(),
                                      [&](const auto& x) { return x.name == name; });
      if (param == action.params.end())
        return refuse_as(outcome::unknown_field, out_.contract + "." + action.name
                                                     + " has no parameter " + in_quotes(name));
      value typed;
      if (auto refused = typed_json(*param, member.value(), typed)) return refused;
      if (!typed.is_null()) put(out_.arguments, param->name, std::move(typed));
    }
    for (const auto& param : action.params)
      if (!param.optional && find(out_.arguments, param.name) == nullptr)
        return refuse_as(outcome::missing_field, out_.contract + "." + action.name
                                                     + " needs the parameter "
                                                     + in_quotes(param.name));
    return std::nullopt;
  }

  /// The table, and the other arguments that go with it: all of these, and no others.
  std::optional<refusal>
  read_table(std::initializer_list<std::pair<std::string_view, const json::value**>> others) {
    std::string expected = out_.action + " takes the arguments \"table\" (a string)";
    for (const auto& [other, to] : others)
      expected += " and \"" + std::string(other) + "\"";
    const json::value* table = nullptr;
    for (const auto& member : *arguments_) {
      const std::string_view name = member.key();
      const auto at = std::find_if(others.begin(), others.end(),
                                   [&](const auto& x) { return x.first == name; });
      if (name == "table")
        table = &member.value();
      else if (at != others.end())
        *at->second = &member.value();
      else
        return refuse_as(outcome::malformed_arguments, expected + ", not " + in_quotes(name));
    }
    const auto* name = table ? table->if_string() : nullptr;
    if (!name || std::any_of(others.begin(), others.end(), [](const auto& x) {
          return *x.second == nullptr;
        }))
      return refuse_as(outcome::malformed_arguments, expected);
    table_ = contract_->find_table(std::string_view(*name));
    if (!table_)
      return refuse_as(outcome::unknown_table, "contract " + in_quotes(out_.contract)
                                                   + " has no table "
                                                   + in_quotes(std::string_view(*name)));
    return std::nullopt;
  }

  std::optional<refusal> no_right(std::string_view to_what) const {
    return refuse_as(outcome::forbidden, std::string(rules_.author.name) + "@"
                                             + std::string(rules_.node) + " may not "
                                             + std::string(to_what) + " " + table_->full_name);
  }
  contracts::actor who() const { return {rules_.author.name, rules_.node, rules_.tier}; }

  refusal bad_key(const contracts::refusal& why) const {
    return refuse_as(why.why, "the key of " + table_->full_name + ": "
                                  + std::string(describe(why.why)) + " (" + why.detail + ")");
  }

  std::optional<refusal> read_store() {
    const json::value* given = nullptr;
    if (auto refused = read_table({{"row", &given}})) return refused;
    if (!contracts::may_store(*table_, who())) return no_right("store into");
    const auto* fields = given->if_object();
    if (!fields)
      return refuse_as(outcome::malformed_arguments,
                       "\"row\" is an object, not " + std::string(kind_of(*given)));
    value_map row;
    row.reserve(fields->size());
    for (const auto& member : *fields) {
      const auto* field = table_->find_field(member.key());
      if (!field)
        return refuse_as(outcome::unknown_field,
                         table_->full_name + " has no field " + in_quotes(member.key()));
      value typed;
      if (auto refused = typed_json(*field, member.value(), typed)) return refused;
      put(row, field->name, std::move(typed));
    }
    if (auto key = contracts::key_of(*table_, row); !key) return bad_key(key.error());
    out_.arguments.reserve(2);
    put(out_.arguments, "row", std::move(row));
    put(out_.arguments, "table", table_->name);
    return std::nullopt;
  }

  std::optional<refusal> read_delete() {
    const json::value* given = nullptr;
    if (auto refused = read_table({{"key", &given}})) return refused;
    if (!contracts::may_delete(*table_, who())) return no_right("delete from");
    return read_key(*given);
  }

  std::optional<refusal> read_erase() {
    const json::value *given = nullptr, *reason = nullptr;
    if (auto refused = read_table({{"key", &given}, {"reason", &reason}})) return refused;
    if (!contracts::may_erase(*table_, who())) return no_right("erase from");
    if (auto refused = read_key(*given)) return refused;
    const auto* text = reason->if_string();
    if (!text || text->empty())
      return refuse_as(outcome::malformed_arguments,
                       "\"reason\" says why, in up to 1000 characters");
    put(out_.arguments, "reason", std::string(std::string_view(*text)));
    return std::nullopt;
  }

  /// {"table": .., "key": [..], "to": {"tier": "level3", "within_s": 3600}}
  std::optional<refusal> read_distribute() {
    const json::value *given = nullptr, *to = nullptr;
    if (auto refused = read_table({{"key", &given}, {"to", &to}})) return refused;
    if (!contracts::may_distribute(*table_, who())) return no_right("distribute rows of");
    if (auto refused = read_key(*given)) return refused;
    const auto* recipients = to->if_object();
    if (!recipients)
      return refuse_as(outcome::malformed_arguments,
                       "\"to\" is an object, not " + std::string(kind_of(*to)));
    value_map named;
    for (const auto& member : *recipients) {
      value plain;
      if (auto refused = read_plain(member.key(), member.value(), plain)) return refused;
      put(named, std::string(member.key()), std::move(plain));
    }
    put(out_.arguments, "to", std::move(named));
    return std::nullopt;
  }

  /// A text, a whole number, or a list of texts: what names recipients and deadlines.
  static std::optional<refusal> read_plain(std::string_view name, const json::value& x,
                                           value& out) {
    if (const auto* text = x.if_string()) {
      out.data = std::string(std::string_view(*text));
    } else if (const auto number = integer_of(x)) {
      out.data = *number;
    } else if (const auto* list = x.if_array()) {
      value_list all;
      for (const auto& each : *list) {
        const auto* one = each.if_string();
        if (!one)
          return refuse_as(outcome::wrong_type, in_quotes(name) + " lists strings, not "
                                                    + std::string(kind_of(each)));
        all.emplace_back(std::string(std::string_view(*one)));
      }
      out.data = std::move(all);
    } else {
      return refuse_as(outcome::wrong_type, in_quotes(name)
                                                + " is a string, a list of strings or an "
                                                  "integer, not "
                                                + std::string(kind_of(x)));
    }
    return std::nullopt;
  }

  std::optional<refusal> read_key(const json::value& given) {
    const auto* parts = given.if_array();
    if (!parts || parts->size() != table_->key.size())
      return refuse_as(outcome::malformed_arguments, "\"key\" is an array of the key's "
                                                         + std::to_string(table_->key.size())
                                                         + " values");
    value_list key;
    for (std::size_t i = 0; i < parts->size(); ++i) {
      value typed;
      if (auto refused = typed_json(table_->fields[table_->key[i]], (*parts)[i], typed))
        return refused;
      key.push_back(std::move(typed));
    }
    if (auto whole = contracts::key_of(*table_, key); !whole) return bad_key(whole.error());
    put(out_.arguments, "key", std::move(key));
    put(out_.arguments, "table", table_->name);
    return std::nullopt;
  }

  std::optional<refusal> check_signature() const {
    if (!out_.author_signature) {
      if (!contract_->author_signs) return std::nullopt;
      return refuse_as(outcome::unsigned_operation, "contract " + in_quotes(out_.contract)
                                                        + " asks for the author's signature");
    }
    if (!id_given_ || !given_validity_)
      return refuse_as(errc::malformed, "a signed operation has its own id and valid_until, "
                                        "because the signature covers them");
    const auto signed_digest = author_signing_digest(rules_.chain, out_);
    if (!rules_.author.signs_with
        || !verify(*rules_.author.signs_with, signed_digest.raw, *out_.author_signature))
      return refuse_as(outcome::unsigned_operation,
                       "the signature is not " + rules_.author.name + "'s over this operation");
    return std::nullopt;
  }

  const reading_rules& rules_;
  operation& out_;
  bool& id_given_;
  bool given_validity_ = false;
  const json::object* arguments_ = nullptr;
  const contracts::contract* contract_ = nullptr;
  const contracts::table* table_ = nullptr;
};

} // namespace

struct operation_reader::scratch {
  std::array<unsigned char, scratch_bytes> block;
  json::parser parser{json::storage_ptr(), strict_options()};
};

operation_reader::operation_reader(const reading_rules& rules)
    : rules_(rules), scratch_(std::make_unique<scratch>()) {}
operation_reader::~operation_reader() = default;

std::optional<refusal> operation_reader::read(std::string_view text, operation& out,
                                              bool& id_given) {
  id_given = false;
  // Boost.JSON's tree lives in this block as long as the line fits, which nearly all do.
  json::monotonic_resource memory(scratch_->block.data(), scratch_->block.size());
  auto& parser = scratch_->parser;
  parser.reset(&memory);
  json::error_code failure;
  const auto used = parser.write(text.data(), text.size(), failure);
  if (failure) {
    parser.reset(); // half a tree must not outlive its memory
    return refuse_as(errc::malformed,
                     "not JSON at byte " + std::to_string(used + 1) + ": " + failure.message());
  }
  const auto tree = parser.release();
  const auto* object = tree.if_object();
  if (!object)
    return refuse_as(errc::malformed,
                     "an operation is a JSON object, not " + std::string(kind_of(tree)));
  if (auto refused = draft(rules_, out, id_given).read(*object)) return refused;
  if (!id_given) out.id = make_operation_id(rules_.now_ms);
  if (text.size() > surely_small_bytes && encode(out).size() > limits::max_operation_bytes)
    return refuse_as(errc::too_large, "an operation of more than 256 KiB");
  return std::nullopt;
}

operation_id make_operation_id(std::int64_t now_ms) {
  constexpr std::size_t random_part = 10;
  thread_local std::array<std::uint8_t, ids_per_draw * random_part> drawn;
  thread_local std::size_t left = 0;
  if (left == 0) {
    random_bytes(drawn);
    left = ids_per_draw;
  }
  operation_id id;
  for (std::size_t i = 0; i < 6; ++i)
    id.raw[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(now_ms) >> 8 * (5 - i));
  --left;
  std::copy_n(drawn.begin() + static_cast<std::ptrdiff_t>(left * random_part), random_part,
              id.raw.begin() + 6);
  return id;
}

refusal refuse_as(outcome code, std::string detail) {
  const bool right = code == outcome::forbidden;
  return {right ? 403u : 422u, to_string(code), std::move(detail)};
}

refusal refuse_as(errc code, std::string detail) {
  const auto status = [code]() -> unsigned {
    switch (code) {
    case errc::too_large:
      return 413;
    case errc::not_found:
      return 404;
    case errc::forbidden:
      return 403;
    case errc::overloaded:
      return 429;
    case errc::unavailable:
      return 503;
    case errc::storage:
    case errc::damaged:
      return 500;
    case errc::conflict:
      return 409;
    default:
      return 400;
    }
  };
  return {status(), to_string(code), std::move(detail)};
}

} // namespace tallymesh::gateway
