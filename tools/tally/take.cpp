// `tally take`: a subscriber. Takes what was distributed to its node, writes it down, and says
// on the chain that it has it.
#include "tools/tally/command.hpp"
#include "tools/tally/subscriber.hpp"

namespace tallymesh::tally {

namespace {

struct take_options {
  place where;
  subscription what;
  std::uint64_t give_up_s = 120;
};

exit_code run_take(take_options& options) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  options.what.give_up = std::chrono::seconds(options.give_up_s);
  const auto done = subscriber(options.what, at->target).run();
  return done ? exit_code::ok : report(done.error());
}

} // namespace

void add_take(command& program) {
  const auto options = std::make_shared<take_options>();
  auto& take = program.add(
      "take",
      "Take what was distributed to a node, one JSON object a line.\nThe chain is told that it "
      "was handed over. With --to FILE nothing is lost and nothing is written twice, "
      "whatever is ended when;\nwithout it, what was printed but not acknowledged comes again.",
      {"tally take --node coop --to inbox.ndjson --follow",
       "tally take --node coop --table orders.orders"});
  take.option("--to", options->what.file, "Append to this file what it does not hold");
  take.option("--table", options->what.table, "Only records of this table: contract.table");
  take.flag("--follow", options->what.follow, "Wait for more instead of ending");
  take.option("--give-up-after", options->give_up_s,
              "Seconds to wait for a node that does not answer", 1, 86'400);
  options->where.declare(take, true);
  take.on_run([options](const invocation&) { return run_take(*options); });
}

} // namespace tallymesh::tally
