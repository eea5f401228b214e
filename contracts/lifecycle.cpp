#include "contracts/lifecycle.hpp"

#include "contracts/builtin_rows.hpp"

#include <algorithm>

namespace tallymesh::contracts::lifecycle {

namespace {

constexpr std::string_view declaration = R"lua(
-- The life of contracts. Rows here are written by the actions below and by nothing else.
local name    = text{max=64, min=1}
local id      = text{max=32, min=32}
local party   = text{max=130, min=1}
local digest  = bytes{max=32, min=32}
local why     = text{max=1000}
local parties = text{max=2000, min=1}
local anyone  = { "anyone" }
local source  = text{max=196608, min=1}

return {
  contract = "mesh", version = 1,
  tables = {
    -- What is in force; a contract of genesis has a row from its first change on.
    contracts = {
      key    = { "contract" },
      fields = { contract = name, version = int64{min=1}, digest = digest,
                 state = one_of{"active", "frozen"}, height = int64{min=0},
                 proposal = optional(id) },
      read   = anyone,
    },
    -- Every source that was proposed, or was in force when another replaced it.
    sources = {
      key    = { "digest" },
      fields = { digest = digest, source = source },
      read   = anyone,
    },
    -- Every version that was in force. One of genesis has no proposal.
    versions = {
      key    = { "contract", "digest" },
      fields = { contract = name, digest = digest, version = int64{min=1},
                 height = int64{min=0}, proposal = optional(id) },
      index  = { {"contract"} },
      read   = anyone,
    },
    proposals = {
      key    = { "id" },
      fields = { id = id, kind = one_of{"install", "rollback", "freeze", "unfreeze", "rules"},
                 contract = name, version = optional(int64{min=1}), digest = optional(digest),
                 propose = optional(parties), approve = optional(parties),
                 approvals = optional(int64{min=0}), verdicts = optional(int64{min=0}),
                 proposer = party, node = name, reason = optional(why),
                 height = int64{min=0}, position = int64{min=0}, -- of the operation
                 time_ms = int64, until_ms = int64,
                 base = optional(digest), -- what was in force, and what it was verified against
                 state = one_of{"verifying", "voting", "accepted", "refused", "withdrawn"},
                 -- Codes, of which README.md has the list; texts would change with the program.
                 outcome = optional(text{max=64}), outcome_node = optional(name),
                 outcome_table = optional(text{max=130}), outcome_row = optional(text{max=600}),
                 outcome_cause = optional(text{max=64}), outcome_detail = optional(text{max=64}),
                 decided_height = optional(int64) },
      index  = { {"state", "height", "position"}, {"contract", "height", "position"},
                 {"node", "state"} },
      read   = anyone,
    },
    -- What each node found when it verified by itself.
    verdicts = {
      key    = { "proposal", "node" },
      fields = { proposal = id, node = name, good = bool, findings = optional(text{max=4000}),
                 tests = int64{min=0}, rows = int64{min=0}, replayed = int64{min=0},
                 differing = int64{min=0}, time_ms = int64 },
      index  = { {"proposal"} },
      read   = anyone,
    },
    -- One vote a node; a later one replaces it while the proposal is open.
    approvals = {
      key    = { "proposal", "node" },
      fields = { proposal = id, node = name, account = party, approve = bool,
                 reason = optional(why), time_ms = int64 },
      index  = { {"proposal"} },
      read   = anyone,
    },
    -- Who may propose and approve, and how many nodes it takes; "*" is for all others.
    rules = {
      key    = { "contract" },
      fields = { contract = name, propose = parties, approve = parties,
                 approvals = int64{min=0}, verdicts = int64{min=0} },
      read   = anyone,
    },
  },
  actions = {
    propose = { may = anyone, doc = "Propose a contract, or its next version.",
      params = { source = source, reason = optional(why) } },
    roll_back = { may = anyone, doc = "Propose to go back to a source that was in force.",
      params = { contract = name, digest = digest, reason = optional(why) } },
    propose_freeze = { may = anyone,
      doc = "Propose that no operation of a contract be executed.",
      params = { contract = name, reason = optional(why) } },
    propose_unfreeze = { may = anyone, doc = "Propose that a frozen contract go on.",
      params = { contract = name, reason = optional(why) } },
    propose_rules = { may = anyone,
      doc = "Propose who may propose and approve, and how many nodes it takes.",
      params = { contract = name, propose = parties, approve = parties,
                 approvals = int64{min=0}, verdicts = int64{min=0}, reason = optional(why) } },
    verdict = { may = anyone, doc = "What a node found; only its own account `node` may say it.",
      params = { proposal = id, good = bool, findings = optional(text{max=4000}),
                 tests = int64{min=0}, rows = int64{min=0}, replayed = int64{min=0},
                 differing = int64{min=0} } },
    approve = { may = anyone, doc = "Vote for a proposal in the name of one's node.",
      params = { proposal = id, reason = optional(why) } },
    reject = { may = anyone, doc = "Vote against a proposal in the name of one's node.",
      params = { proposal = id, reason = optional(why) } },
    withdraw = { may = anyone, doc = "Take one's own proposal back.",
      params = { proposal = id } },
  },
}
)lua";

refusal refused(std::string_view code) { return refuse(outcome::refused_by_contract, code); }

bool flag_in(const value_map& row, std::string_view field) {
  const auto* found = find(row, field);
  return found != nullptr && *found->as<bool>();
}

value digest_value(const digest& x) { return bytes(x.raw.begin(), x.raw.end()); }
std::int64_t signed_height(const transaction& on) {
  return static_cast<std::int64_t>(on.facts().height);
}

/// At most so many bytes, and no half of a character.
std::string clipped(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80)
    --most;
  text.resize(most);
  return text;
}

value or_null(const value_map& row, std::string_view field) {
  const auto* found = find(row, field);
  return found == nullptr ? value() : *found;
}

// --- rules

std::size_t at_least(const mesh_facts& mesh, std::int64_t asked) {
  const auto least = mesh.faulty() + 1;
  return asked == 0 ? mesh.quorum() : std::max(least, static_cast<std::size_t>(asked));
}

checked<void> check_party(const transaction& on, std::string_view grantees) {
  if (!is_named(grantees, on.facts().who)) return refuse(outcome::forbidden, "mesh");
  return {};
}

// --- proposing

checked<std::optional<value_map>> row_of(transaction& on, std::string_view table, value key) {
  return on.get(table, value_list{std::move(key)});
}

/// A proposal that is still open after its time is decided by whoever meets it next.
bool is_past(const transaction& on, const value_map& proposal) {
  return on.facts().time_ms > number_in(proposal, "until_ms");
}

bool is_open(const value_map& proposal) {
  const auto& state = text_in(proposal, "state");
  return state == "verifying" || state == "voting";
}

/// How a proposal ended. Codes and names only.
struct decision {
  std::string_view state; ///< accepted, refused or withdrawn
  std::string code;
  activation_refusal about = {};
  std::string node = {};
};

checked<void> close(transaction& on, const value_map& proposal, decision x) {
  const auto if_any = [](std::string text, std::size_t most) {
    return text.empty() ? value() : value(clipped(std::move(text), most));
  };
  const auto stored = on.put(
      "mesh.proposals", make_row({{"decided_height", signed_height(on)},
                                  {"id", text_in(proposal, "id")},
                                  {"outcome", std::move(x.code)},
                                  {"outcome_cause", if_any(std::move(x.about.cause), 64)},
                                  {"outcome_detail", if_any(std::move(x.about.detail), 64)},
                                  {"outcome_node", if_any(std::move(x.node), 64)},
                                  {"outcome_row", if_any(std::move(x.about.row), 600)},
                                  {"outcome_table", if_any(std::move(x.about.table), 130)},
                                  {"state", std::string(x.state)}}));
  if (!stored) return stored.error();
  const auto state = x.state;
  return on.emit("proposal_" + std::string(state),
                 make_row({{"contract", text_in(proposal, "contract")},
                           {"proposal", text_in(proposal, "id")}}));
}

/// Each open proposal is work for every node, before anyone has agreed to anything: a party has
/// a few, and so has a node. What others have open is in nobody's way: which of two is decided
/// first is for those who vote, and the other may not apply any more then.
checked<void> refuse_if_too_many(transaction& on, std::string_view kind,
                                 std::string_view contract) {
  const auto self = full_name(on.facts().who);
  std::size_t of_node = 0, of_account = 0;
  for (const std::string state : {"verifying", "voting"}) {
    auto all = on.find("mesh.proposals", 2, value_list{std::string(on.facts().who.node), state},
                       max_open_of_node + 1);
    if (!all) return all.error();
    for (const auto& each : *all) {
      if (is_past(on, each)) {
        if (auto closed = close(on, each, {"refused", "timed_out"}); !closed)
          return closed.error();
        continue;
      }
      ++of_node;
      if (text_in(each, "proposer") != self) continue;
      ++of_account;
      if (text_in(each, "kind") == kind && text_in(each, "contract") == contract)
        return refused("already_open");
    }
  }
  if (of_node >= max_open_of_node || of_account >= max_open_of_account)
    return refused("too_many_open");
  return {};
}

/// The digest of what is in force; null: there is no such contract yet.
value base_of(const transaction& on, std::string_view contract) {
  const auto* now = on.rules().find_contract(contract);
  return now == nullptr ? value() : digest_value(now->source);
}

checked<void> open_proposal(transaction& on, std::string_view kind, std::string_view contract,
                            value_map row, const value_map& given) {
  const auto rules = rules_for(on, contract);
  if (!rules) return rules.error();
  if (auto may = check_party(on, rules->propose); !may) return may.error();
  if (auto room = refuse_if_too_many(on, kind, contract); !room) return room;
  constexpr std::int64_t day_ms = 86'400'000;
  const auto& facts = on.facts();
  const bool verified = kind == "install" || kind == "rollback";
  if (verified)
    if (auto base = base_of(on, contract); !base.is_null()) put(row, "base", std::move(base));
  put(row, "contract", std::string(contract));
  put(row, "height", signed_height(on));
  put(row, "id", facts.operation.hex());
  put(row, "kind", std::string(kind));
  put(row, "node", std::string(facts.who.node));
  put(row, "position", std::int64_t{facts.position});
  put(row, "proposer", full_name(facts.who));
  if (auto why = or_null(given, "reason"); !why.is_null()) put(row, "reason", std::move(why));
  put(row, "state", verified ? "verifying" : "voting");
  put(row, "time_ms", facts.time_ms);
  put(row, "until_ms", facts.time_ms + proposal_days * day_ms);
  if (auto stored = on.put("mesh.proposals", row); !stored) return stored.error();
  return on.emit("proposed", make_row({{"contract", std::string(contract)},
                                       {"kind", std::string(kind)},
                                       {"proposal", facts.operation.hex()}}));
}

checked<void> keep_source(transaction& on, const digest& of, std::string_view source) {
  return on.put("mesh.sources",
                make_row({{"digest", digest_value(of)}, {"source", std::string(source)}}));
}

/// What reading a file of this size costs, which is done before anything is known of it.
std::uint64_t reading_gas(std::size_t bytes) { return 1'000'000 + 50 * bytes; }

checked<void> propose(transaction& on, const value_map& given) {
  const auto& source = text_in(given, "source");
  if (auto paid = on.charge(reading_gas(source.size())); !paid) return paid;
  const auto candidate = parse(source, "contract");
  if (!candidate) return refused("not_parsed");
  const auto* active = on.rules().find_contract(candidate->name);
  if (active != nullptr && active->source == candidate->source) return refused("same_source");
  if (active != nullptr && candidate->version <= active->version) return refused("old_version");
  if (auto kept = keep_source(on, candidate->source, source); !kept) return kept;
  return open_proposal(on, "install", candidate->name,
                       make_row({{"digest", digest_value(candidate->source)},
                                 {"version", std::int64_t{candidate->version}}}),
                       given);
}

checked<void> roll_back(transaction& on, const value_map& given) {
  const auto& name = text_in(given, "contract");
  const auto* active = on.rules().find_contract(name);
  if (active == nullptr || find_builtin(name) != nullptr) return refused("unknown_contract");
  const auto wanted = or_null(given, "digest");
  if (wanted == digest_value(active->source)) return refused("same_source");
  const auto kept = on.get("mesh.versions", value_list{name, wanted});
  if (!kept) return kept.error();
  if (!*kept) return refused("never_active");
  return open_proposal(
      on, "rollback", name,
      make_row({{"digest", wanted}, {"version", number_in(**kept, "version")}}), given);
}

checked<void> propose_state(transaction& on, std::string_view kind, const value_map& given) {
  const auto& name = text_in(given, "contract");
  if (on.rules().find_contract(name) == nullptr || find_builtin(name) != nullptr)
    return refused("unknown_contract");
  if (on.rules().is_frozen(name) == (kind == "freeze")) return refused("same_state");
  return open_proposal(on, kind, name, {}, given);
}

/// How many nodes can say yes under these rules.
std::size_t nodes_named(std::string_view grantees, const mesh_facts& mesh) {
  return static_cast<std::size_t>(
      std::count_if(mesh.nodes.begin(), mesh.nodes.end(), [&](const mesh_facts::node& node) {
        const auto covers = [&](std::string_view account) {
          return is_named(grantees, {account, node.name, node.at});
        };
        return covers(node_account)
               || std::any_of(mesh.accounts.begin(), mesh.accounts.end(),
                              [&](const mesh_facts::account& each) {
                                return each.node == node.name && covers(each.name);
                              });
      }));
}

checked<void> propose_rules(transaction& on, const value_map& given) {
  const auto& mesh = on.rules().mesh();
  const auto& name = text_in(given, "contract");
  value_map row;
  for (const std::string_view list : {"propose", "approve"}) {
    const auto& grantees = text_in(given, list);
    if (unknown_name(grantees, mesh)) return refused("unknown_party");
    put(row, std::string(list), grantees);
  }
  for (const std::string_view number : {"approvals", "verdicts"}) {
    const auto asked = number_in(given, number);
    if (asked != 0
        && (asked <= static_cast<std::int64_t>(mesh.faulty())
            || asked > static_cast<std::int64_t>(mesh.nodes.size())))
      return refused("bad_threshold");
    put(row, std::string(number), asked);
  }
  // Rules that nobody can meet could never be changed again.
  if (nodes_named(text_in(given, "propose"), mesh) == 0
      || nodes_named(text_in(given, "approve"), mesh)
             < at_least(mesh, number_in(given, "approvals")))
    return refused("bad_threshold");
  return open_proposal(on, "rules", name, std::move(row), given);
}

// --- deciding

checked<value_map> open_one(transaction& on, const value_map& given) {
  auto found = row_of(on, "mesh.proposals", text_in(given, "proposal"));
  if (!found) return found.error();
  if (!*found) return refuse(outcome::not_found, "proposal");
  if (!is_open(**found) || is_past(on, **found)) return refused("not_open");
  return std::move(**found);
}

struct count {
  std::size_t yes = 0, no = 0;
};
checked<count> count_verdicts(transaction& on, std::string_view proposal) {
  auto rows = on.range("mesh.verdicts", value_list{std::string(proposal)}, limits::max_nodes);
  if (!rows) return rows.error();
  count made;
  for (const auto& each : *rows)
    ++(flag_in(each, "good") ? made.yes : made.no);
  return made;
}

/// Votes of those who may vote now: the rules may have changed since.
checked<count> count_votes(transaction& on, std::string_view proposal,
                           const approval_rules& rules) {
  auto rows = on.range("mesh.approvals", value_list{std::string(proposal)}, limits::max_nodes);
  if (!rows) return rows.error();
  count made;
  for (const auto& each : *rows) {
    const auto voter = party_named(on.rules().mesh(), text_in(each, "account"));
    if (voter && is_named(rules.approve, *voter))
      ++(flag_in(each, "approve") ? made.yes : made.no);
  }
  return made;
}

/// The row of a contract that is in force now, and for the first time.
checked<void> note_version(transaction& on, const contracts::contract& of, value height,
                           value proposal) {
  return on.put("mesh.versions", make_row({{"contract", of.name},
                                           {"digest", digest_value(of.source)},
                                           {"height", std::move(height)},
                                           {"proposal", std::move(proposal)},
                                           {"version", std::int64_t{of.version}}}));
}

/// What genesis gave is kept from a contract's first change on, so that one can go back to it.
checked<void> keep_present(transaction& on, std::string_view name) {
  const auto* entry = on.rules().find_entry(name);
  if (entry == nullptr) return {};
  const auto& now = entry->declared;
  const auto known = on.get("mesh.versions", value_list{now.name, digest_value(now.source)});
  if (!known) return known.error();
  if (*known) return {};
  if (auto kept = keep_source(on, now.source, entry->source); !kept) return kept;
  return note_version(on, now, std::int64_t{0}, {});
}

checked<void> note_in_force(transaction& on, const contracts::contract& of, bool frozen,
                            const value_map& proposal) {
  return on.put("mesh.contracts", make_row({{"contract", of.name},
                                            {"digest", digest_value(of.source)},
                                            {"height", signed_height(on)},
                                            {"proposal", text_in(proposal, "id")},
                                            {"state", frozen ? "frozen" : "active"},
                                            {"version", std::int64_t{of.version}}}));
}

using reason = std::optional<activation_refusal>; ///< nothing, or why it cannot be

/// Whether what was proposed, verified and voted on still is what would happen now.
std::optional<std::string_view> no_longer_applies(const transaction& on,
                                                  const value_map& proposal) {
  const auto& kind = text_in(proposal, "kind");
  const auto& contract = text_in(proposal, "contract");
  if (kind == "freeze" || kind == "unfreeze") {
    if (on.rules().is_frozen(contract) == (kind == "freeze")) return "same_state";
  } else if (kind != "rules" && base_of(on, contract) != or_null(proposal, "base")) {
    return "outdated";
  }
  return std::nullopt;
}

/// Brings the proposed source in force, with its migration.
checked<reason> install(transaction& on, const value_map& proposal) {
  const auto kept = on.get("mesh.sources", value_list{or_null(proposal, "digest")});
  if (!kept) return kept.error();
  TALLYMESH_INVARIANT(kept->has_value()); // kept when it was proposed, and never removed
  const auto& name = text_in(proposal, "contract");
  if (auto saved = keep_present(on, name); !saved) return saved.error();
  // Who proposed it answers for what its migration does, whoever gives the last vote.
  const auto proposer = party_named(on.rules().mesh(), text_in(proposal, "proposer"));
  TALLYMESH_INVARIANT(proposer.has_value()); // genesis' parties do not change
  auto why = on.activate(text_in(**kept, "source"), *proposer);
  if (!why || *why) return why;
  const auto& now = *on.rules().find_contract(name);
  const auto noted = note_version(on, now, signed_height(on), text_in(proposal, "id"));
  if (!noted) return noted.error();
  const auto in_force = note_in_force(on, now, on.rules().is_frozen(name), proposal);
  if (!in_force) return in_force.error();
  return reason();
}

checked<reason> set_frozen(transaction& on, const value_map& proposal, bool frozen) {
  const auto& name = text_in(proposal, "contract");
  if (auto kept = keep_present(on, name); !kept) return kept.error();
  on.set_frozen(name, frozen);
  const auto noted = note_in_force(on, *on.rules().find_contract(name), frozen, proposal);
  if (!noted) return noted.error();
  return reason();
}

checked<reason> set_rules(transaction& on, const value_map& proposal) {
  const auto stored =
      on.put("mesh.rules", make_row({{"approvals", number_in(proposal, "approvals")},
                                     {"approve", text_in(proposal, "approve")},
                                     {"contract", text_in(proposal, "contract")},
                                     {"propose", text_in(proposal, "propose")},
                                     {"verdicts", number_in(proposal, "verdicts")}}));
  if (!stored) return stored.error();
  return reason();
}

checked<void> carry_out(transaction& on, const value_map& proposal) {
  const auto& kind = text_in(proposal, "kind");
  const auto before = on.mark();
  auto why = kind == "rules"      ? set_rules(on, proposal)
             : kind == "freeze"   ? set_frozen(on, proposal, true)
             : kind == "unfreeze" ? set_frozen(on, proposal, false)
                                  : install(on, proposal);
  if (!why) return why.error();
  if (!*why) return close(on, proposal, {"accepted", "in_force"});
  on.rewind(before);
  auto code = std::string(to_string((*why)->why));
  return close(on, proposal, {"refused", std::move(code), std::move(**why)});
}

/// The first node that found it bad: what it found stands in its verdict.
checked<std::string> first_refusing(transaction& on, std::string_view proposal) {
  auto rows = on.range("mesh.verdicts", value_list{std::string(proposal)}, limits::max_nodes);
  if (!rows) return rows.error();
  for (const auto& each : *rows)
    if (!flag_in(each, "good")) return text_in(each, "node");
  return std::string();
}

/// After each verdict and vote: is it decided?
checked<void> decide(transaction& on, value_map proposal) {
  const auto& id = text_in(proposal, "id");
  const auto rules = rules_for(on, text_in(proposal, "contract"));
  if (!rules) return rules.error();
  if (const auto code = no_longer_applies(on, proposal))
    return close(on, proposal, {"refused", std::string(*code)});
  const auto votes = count_votes(on, id, *rules);
  if (!votes) return votes.error();
  const auto nodes = on.rules().mesh().nodes.size();
  if (votes->no > nodes - rules->approvals)
    return close(on, proposal, {"refused", "voted_against"});
  if (text_in(proposal, "state") == "verifying") {
    const auto verdicts = count_verdicts(on, id);
    if (!verdicts) return verdicts.error();
    if (verdicts->no > nodes - rules->verdicts) {
      auto node = first_refusing(on, id);
      if (!node) return node.error();
      return close(on, proposal, {"refused", "verification_failed", {}, std::move(*node)});
    }
    if (verdicts->yes < rules->verdicts) return {};
    put(proposal, "state", "voting");
    if (auto stored = on.put("mesh.proposals", proposal); !stored) return stored.error();
  }
  if (votes->yes < rules->approvals) return {};
  return carry_out(on, proposal);
}

/// Said once, also when others have decided already: each node answers for itself.
checked<void> verdict(transaction& on, const value_map& given) {
  const auto& facts = on.facts();
  if (facts.who.account != node_account) return refuse(outcome::forbidden, "verdict");
  const auto& id = text_in(given, "proposal");
  const std::string node(facts.who.node);
  const auto proposal = row_of(on, "mesh.proposals", id);
  if (!proposal) return proposal.error();
  if (!*proposal) return refuse(outcome::not_found, "proposal");
  if (is_past(on, **proposal)) return refused("not_open");
  const auto said = on.get("mesh.verdicts", value_list{id, node});
  if (!said) return said.error();
  if (*said) return refused("has_verdict");
  auto row = given;
  put(row, "node", node);
  put(row, "time_ms", facts.time_ms);
  if (auto stored = on.put("mesh.verdicts", row); !stored) return stored;
  return is_open(**proposal) ? decide(on, **proposal) : checked<void>();
}

checked<void> vote(transaction& on, bool approve, const value_map& given) {
  auto proposal = open_one(on, given);
  if (!proposal) return proposal.error();
  const auto rules = rules_for(on, text_in(*proposal, "contract"));
  if (!rules) return rules.error();
  if (auto may = check_party(on, rules->approve); !may) return may.error();
  const auto& facts = on.facts();
  // An earlier reason goes with the vote that it was for.
  auto row = make_row({{"account", full_name(facts.who)},
                       {"approve", approve},
                       {"node", std::string(facts.who.node)},
                       {"proposal", text_in(given, "proposal")},
                       {"time_ms", facts.time_ms}});
  put(row, "reason", or_null(given, "reason"));
  if (auto stored = on.put("mesh.approvals", row); !stored) return stored;
  return decide(on, std::move(*proposal));
}

checked<void> withdraw(transaction& on, const value_map& given) {
  auto proposal = open_one(on, given);
  if (!proposal) return proposal.error();
  if (text_in(*proposal, "proposer") != full_name(on.facts().who))
    return refused("not_proposer");
  return close(on, *proposal, {"withdrawn", "withdrawn"});
}

checked<void> perform(transaction& on, std::string_view action, const value_map& given) {
  // A person votes, and no contract in that person's name.
  if (!on.facts().caller.empty()) return refuse(outcome::forbidden, action);
  if (action == "propose") return propose(on, given);
  if (action == "roll_back") return roll_back(on, given);
  if (action == "propose_freeze") return propose_state(on, "freeze", given);
  if (action == "propose_unfreeze") return propose_state(on, "unfreeze", given);
  if (action == "propose_rules") return propose_rules(on, given);
  if (action == "verdict") return verdict(on, given);
  if (action == "approve") return vote(on, true, given);
  if (action == "reject") return vote(on, false, given);
  if (action == "withdraw") return withdraw(on, given);
  return refuse(outcome::unknown_action, action);
}

} // namespace

builtin contract() { return {"mesh", declaration, &perform, nullptr}; }

checked<approval_rules> rules_for(transaction& on, std::string_view contract) {
  for (const std::string_view name : {contract, std::string_view("*")}) {
    auto row = row_of(on, "mesh.rules", std::string(name));
    if (!row) return row.error();
    const auto& mesh = on.rules().mesh();
    if (*row)
      return approval_rules{text_in(**row, "propose"), text_in(**row, "approve"),
                            at_least(mesh, number_in(**row, "approvals")),
                            at_least(mesh, number_in(**row, "verdicts"))};
  }
  approval_rules usual;
  usual.approvals = usual.verdicts = on.rules().mesh().quorum();
  return usual;
}

/// Of this state, proposals that hold a source and are not past their time.
static checked<void> add_waiting(transaction& on, const std::string& state,
                                 std::string_view node, std::int64_t now_ms, std::size_t most,
                                 std::vector<waiting_proposal>& into) {
  // Open ones are as many as may be, the oldest first, so that each has its turn; of those
  // that others refused meanwhile, the newest.
  const bool open = state != "refused";
  const auto looked_at = open ? max_open_of_node * on.rules().mesh().nodes.size() : 64;
  const auto found = on.find("mesh.proposals", 0, value_list{state}, looked_at, !open);
  if (!found) return found.error();
  for (const auto& each : *found) {
    if (into.size() == most) return {};
    const auto digest = or_null(each, "digest");
    if (digest.is_null() || now_ms > number_in(each, "until_ms")) continue;
    if (text_in(each, "outcome") == "outdated") continue; // nobody asks any more
    const auto& id = text_in(each, "id");
    const auto said = on.get("mesh.verdicts", value_list{id, std::string(node)});
    if (!said) return said.error();
    if (*said) continue;
    const auto source = on.get("mesh.sources", value_list{digest});
    if (!source) return source.error();
    TALLYMESH_INVARIANT(source->has_value()); // kept when it was proposed
    into.push_back({id, text_in(**source, "source"), text_in(each, "proposer")});
  }
  return {};
}

checked<std::vector<waiting_proposal>> unverified(transaction& on, std::string_view node,
                                                  std::int64_t now_ms, std::size_t most) {
  std::vector<waiting_proposal> waiting;
  for (const std::string state : {"verifying", "voting", "refused"})
    if (auto added = add_waiting(on, state, node, now_ms, most, waiting); !added)
      return added.error();
  return waiting;
}

} // namespace tallymesh::contracts::lifecycle
