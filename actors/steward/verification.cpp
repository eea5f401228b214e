#include "actors/steward/verification.hpp"

#include "actors/contract_executor/ledger_tables.hpp"
#include "contracts/builtin_rows.hpp"
#include "contracts/constructors.hpp"
#include "contracts/engine.hpp"
#include "contracts/rules_in_force.hpp"
#include "contracts/trial.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

namespace tallymesh::steward {

using contract_executor::view_tables;

void findings::refuse(std::string why) {
  lines.insert(good ? lines.begin() : lines.end(), std::move(why));
  good = false;
}

std::string findings::text(std::size_t most) const {
  std::string all;
  for (const auto& each : lines) {
    const auto line = contracts::printable(each, 500);
    if (all.size() + line.size() + 2 > most) break;
    all += (all.empty() ? "" : "; ") + line;
  }
  return all;
}

namespace {

/// What `read` gave; `fail` does not return.
template <class T>
T sure(result<T> read, const surroundings& at) {
  if (!read) {
    at.fail(read.error());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*read);
}

// --- the file by itself

void run_tests(findings& into, const std::string& source, const contracts::contract_set& now,
               std::uint64_t& purse) {
  std::vector<contracts::contract_entry> others;
  for (const auto& [name, each] : now.contracts())
    others.push_back(each);
  auto tests = contracts::trial::make(source, "contract", others);
  if (!tests) return into.refuse(tests.error().context);
  auto left = std::min(purse, tests_gas);
  purse -= left;
  for (const auto& sentence : (*tests)->declared().tests) {
    const auto came = (*tests)->run(sentence, left);
    if (!came.ok() && left == 0)
      return into.refuse("its tests together take more than " + std::to_string(tests_gas)
                         + " gas; the one that went beyond it is \"" + sentence + "\"");
    if (came.ok())
      ++into.tests;
    else
      into.refuse("test \"" + sentence + "\": " + came.text);
  }
  purse += left;
}

// --- the rows there are

/// Its migration runs on behalf of who proposed it.
struct candidate {
  const std::string& source;
  contracts::actor proposer;
};

contracts::call_facts facts_at(const storage::ledger_head& head,
                               const contracts::actor& proposer) {
  return {.who = proposer,
          .caller = {},
          .operation = {},
          .lane = 0,
          .position = 0,
          .height = head.height + 1,
          .time_ms = head.time_ms};
}

/// Nothing, and what is in force then; or why it cannot be.
struct trial_activation {
  std::optional<std::string> why_not;
  contracts::contract_set_ptr rules;
};
trial_activation activate(const candidate& x, const contracts::contract_set& now,
                          const storage::ledger_head& head, contracts::overlay& over,
                          const contracts::table_source& below, contracts::engine& code,
                          std::uint64_t& purse) {
  contracts::transaction on(now, over, below, facts_at(head, x.proposer));
  on.run_code_by(&code);
  on.limit_activation(purse);
  auto why = on.activate(x.source, x.proposer);
  purse -= std::min(purse, on.gas_used());
  if (!why) return {std::string(to_string(why.error().why)) + " " + why.error().detail, {}};
  if (*why) return {std::move((*why)->text), {}};
  return {std::nullopt, on.new_rules()};
}

std::uint64_t count_rows(const contracts::contract& of, const storage::ledger_view& in,
                         const surroundings& at) {
  std::uint64_t rows = 0;
  for (const auto& each : of.tables)
    rows += sure(in.records(each.full_name), at);
  return rows;
}

void fit_rows(findings& into, const candidate& x, const contracts::contract& declared,
              const contracts::contract_set& now, const storage::ledger_view& ledger,
              const storage::ledger_head& head, const contracts::table_source& below,
              const surroundings& at, std::uint64_t& purse) {
  contracts::engine code;
  if (const auto ready = code.prepare(now); !ready) return into.refuse(ready.error().context);
  contracts::overlay over;
  over.begin_block(head.height + 1);
  into.rows = count_rows(declared, ledger, at);
  if (auto tried = activate(x, now, head, over, below, code, purse); tried.why_not)
    into.refuse(std::move(*tried.why_not));
}

// --- the recent past

struct past_block {
  block_ptr block;
  std::vector<batch_ptr> batches;
  execution result;
};

bool changed_contracts(const execution& x) {
  return std::any_of(x.changes.begin(), x.changes.end(),
                     [](const change& each) { return each.table == "mesh.contracts"; });
}

/// Nothing if a batch is not there any more.
std::optional<std::vector<batch_ptr>> batches_of(const storage::stored_block& x,
                                                 const std::vector<lane_tip>& cut_before,
                                                 const surroundings& at) {
  std::vector<batch_ptr> in_order;
  for (const auto& tip : x.block->content.cut) {
    const auto seq_before = tip.lane < cut_before.size() ? cut_before[tip.lane].seq : 0;
    const auto lane = at.batches.descend(tip, seq_before, SIZE_MAX, SIZE_MAX);
    if (!lane || lane->size() != tip.seq - seq_before) return std::nullopt;
    in_order.insert(in_order.end(), lane->rbegin(), lane->rend());
  }
  return in_order;
}

std::size_t size_of(const execution& x) {
  std::size_t size = 0;
  for (const auto& each : x.changes)
    size += each.key.size() + (each.before ? each.before->size() : 0)
            + (each.after ? each.after->size() : 0);
  return size;
}

bool lacks_payloads(const past_block& x) {
  return erased_parts(x.result) > 0
         || std::any_of(x.batches.begin(), x.batches.end(),
                        [](const batch_ptr& each) { return each->erased > 0; });
}

/// Oldest first; none from before the contracts in force were changed, nor from before the last
/// block whose payloads were erased: it cannot be executed again.
std::vector<past_block> recent_blocks(const storage::ledger_view& ledger,
                                      const storage::ledger_head& head,
                                      const surroundings& at) {
  std::vector<past_block> found;
  std::size_t operations = 0, size = 0;
  auto here = head.height == 0 ? storage::stored_block{} : sure(ledger.block(head.height), at);
  for (auto height = head.height; height > 0 && found.size() < replayed_blocks; --height) {
    auto done = sure(ledger.execution_of(height), at);
    size += size_of(done);
    if (changed_contracts(done) || size > replayed_bytes) break;
    auto before = height == 1 ? storage::stored_block{} : sure(ledger.block(height - 1), at);
    auto batches = batches_of(here, before.full_cut, at);
    if (!batches) break;
    for (const auto& each : *batches) {
      operations += each->content.operations.size();
      size += each->body.size();
    }
    if (operations > replayed_operations || size > replayed_bytes) break;
    past_block made{here.block, std::move(*batches), std::move(done)};
    if (lacks_payloads(made)) break;
    found.push_back(std::move(made));
    here = std::move(before);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

/// The tables as they were before these blocks.
void undo(const std::vector<past_block>& blocks, const contracts::contract_set& rules,
          contracts::overlay& over, const contracts::table_source& below) {
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block)
    for (auto each = block->result.changes.rbegin(); each != block->result.changes.rend();
         ++each)
      if (const auto* table = rules.find_table(each->table))
        over.write(*table, each->key, over.row(table->full_name, each->key, below),
                   each->before, 0, {});
}

using lane_id = std::pair<node_index, operation_id>;

std::string outcome_text(const receipt& x) {
  std::string text(to_string(x.result));
  return x.detail.empty() ? text : text + " (" + x.detail + ")";
}

/// What an operation left in the tables.
std::vector<const change*> rows_of(const execution& in, std::uint32_t position) {
  std::vector<const change*> rows;
  for (const auto& each : std::ranges::equal_range(in.changes, position, {}, &change::position))
    rows.push_back(&each);
  return rows;
}

bool same_rows(const execution& a, const execution& b, std::uint32_t position) {
  const auto left = rows_of(a, position), right = rows_of(b, position);
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const change* x, const change* y) {
                      return x->table == y->table && x->key == y->key && x->after == y->after;
                    });
}

/// What an operation of the candidate's contract did, and what it would do.
class comparison {
public:
  comparison(findings& into, const std::string& contract) : into_(into), contract_(contract) {}

  void add(const past_block& was, const execution& would) {
    std::map<std::uint32_t, const operation*> operations; // by their place in the block
    std::uint32_t position = 0;
    for (const auto& each : was.batches)
      for (const auto& operation : each->content.operations)
        operations.emplace(position++, &operation);
    for (std::size_t i = 0; i < std::min(was.result.receipts.size(), would.receipts.size());
         ++i)
      compare(was.result, was.result.receipts[i], would, would.receipts[i],
              *operations.at(was.result.receipts[i].position));
  }

  void finish() {
    if (into_.differing > told_differences)
      into_.note("and " + std::to_string(into_.differing - told_differences)
                 + " more operations would have come out otherwise");
  }

private:
  void compare(const execution& before, const receipt& was, const execution& after,
               const receipt& would, const operation& what) {
    if (what.contract != contract_) return;
    ++into_.replayed;
    const auto a = outcome_text(was), b = outcome_text(would);
    if (a == b && same_rows(before, after, was.position)) return;
    if (++into_.differing > told_differences) return;
    into_.note(what.action + " " + what.id.hex() + " of height " + std::to_string(was.height)
               + " was " + a + ", would be " + (a == b ? b + " with other rows" : b));
  }

  findings& into_;
  const std::string& contract_;
};

/// Executes the recent blocks again, as if the candidate had been in force then.
void replay(findings& into, const candidate& x, const contracts::contract& declared,
            const contracts::contract_set& now, const storage::ledger_view& ledger,
            const storage::ledger_head& head, const contracts::table_source& below,
            const surroundings& at, std::uint64_t& purse) {
  const auto blocks = recent_blocks(ledger, head, at);
  if (blocks.empty() || now.find_contract(declared.name) == nullptr) return;
  contracts::engine code;
  if (const auto ready = code.prepare(now); !ready) return into.refuse(ready.error().context);
  contracts::overlay over;
  over.begin_block(blocks.front().result.height - 1);
  undo(blocks, now, over, below);
  auto tried = activate(x, now, head, over, below, code, purse);
  over.end_block();
  if (tried.why_not)
    return into.note("not replayed, for it could not have been in force at height "
                     + std::to_string(blocks.front().result.height - 1) + ": "
                     + *tried.why_not);
  std::set<lane_id> known; // what had receipts then gets them again
  for (const auto& each : blocks)
    for (const auto& receipt : each.result.receipts)
      known.emplace(receipt.lane, receipt.id);
  const auto executed = [&](node_index lane, const operation_id& id) {
    return !known.contains({lane, id});
  };
  contract_executor::tables on{over, below, executed, code, tried.rules, &purse};
  comparison compared(into, declared.name);
  for (const auto& each : blocks) {
    const auto would = at.executor.execute(*each.block, each.batches, each.result.previous, on);
    if (purse == 0) {
      into.note("not replayed from height " + std::to_string(each.result.height)
                + " on, for that takes too much gas");
      break;
    }
    compared.add(each, would.result);
    on.rules = would.rules;
  }
  compared.finish();
}

} // namespace

findings verify(const std::string& source, const std::string& proposer,
                const surroundings& at) {
  findings made;
  auto purse = at.gas;
  const auto declared = contracts::parse(source, "contract");
  if (!declared) {
    made.refuse(declared.error().context);
    return made;
  }
  contracts::contract_set_ptr now;
  const auto read_rules = [&](const contracts::table_source& below) {
    return sure(contracts::rules_in_force(at.executor.base(), below), at);
  };
  sure(at.ledger.look([&](const storage::ledger_view& seen) {
    now = read_rules(view_tables(seen, at.fail));
  }),
       at);
  // Their limits are long, and nothing else should wait for them: outside of the view.
  run_tests(made, source, *now, purse);
  if (!made.good) return made;
  sure(at.ledger.look([&](const storage::ledger_view& seen) {
    const view_tables below(seen, at.fail);
    const auto head = sure(seen.head(), at);
    now = read_rules(below);
    const auto& mesh = now->mesh();
    const auto& first = mesh.nodes.front();
    const candidate x{
        source, contracts::party_named(mesh, proposer)
                    .value_or(contracts::actor{contracts::node_account, first.name, first.at})};
    fit_rows(made, x, *declared, *now, seen, head, below, at, purse);
    if (made.good) replay(made, x, *declared, *now, seen, head, below, at, purse);
  }),
       at);
  return made;
}

} // namespace tallymesh::steward
