// How the actors of one node find each other, and the messages between them. Everything is
// local to the process; large things travel as shared pointers to const.
#pragma once

#include "actors/consensus/machine.hpp"
#include "actors/introspector/inspected.hpp"
#include "actors/mempool/machine.hpp"
#include "configs/node_config.hpp"
#include "messages/caf_types.hpp"
#include "storage/ledger.hpp"

#include <caf/all.hpp>

namespace tallymesh::node {

/// The children that restart together, all of them new or all of them old.
struct core_actors {
  caf::actor ledger_writer, contract_executor, consensus, mempool;
};
struct wiring {
  core_actors core;
  caf::actor switchboard; ///< knows the peers' handles
  caf::actor gateway;     ///< wants executions
  caf::actor links;       ///< brings peers to the switchboard; can be looked into
  caf::actor steward;     ///< wants executions
};
using wiring_ptr = std::shared_ptr<const wiring>;

/// (wired_atom, wiring_ptr): the first message of every core actor; it starts with it.
using wired_atom = caf::atom_constant<caf::atom("wired")>;
/// An actor to itself: the messages that were waiting have been handled, now carry out the
/// effects.
using flush_atom = caf::atom_constant<caf::atom("flush")>;
/// An actor to itself, delayed: (alarm_atom, at_monotonic_ms).
using alarm_atom = caf::atom_constant<caf::atom("alarm")>;
/// To the supervisor, with what the config says now (config_ptr): operators are admitted as it
/// says. To the gateway, alone: read tokens and certificates again.
using reload_atom = caf::atom_constant<caf::atom("reload")>;
/// The ledger writer to the executor: (stored_atom, height).
using stored_atom = caf::atom_constant<caf::atom("stored")>;

/// Operations from the gateway. `answer` is called once, on the mempool's thread; it must be
/// quick.
struct submission {
  std::vector<operation> operations;
  std::function<void(const std::vector<mempool::admission>&)> answer;
};
using submission_ptr = std::shared_ptr<const submission>;
using commit_ptr = std::shared_ptr<const storage::ledger_commit>;
using execution_ptr = std::shared_ptr<const tallymesh::execution>;
using config_ptr = std::shared_ptr<const configs::node_config>;

/// What every child of the supervisor does first: messages that it does not know are counted as
/// nothing, and an exception ends it with a reason that the supervisor can log.
template <class Self>
void prepare(Self* self) {
  self->set_default_handler(caf::drop);
  self->set_exception_handler([](std::exception_ptr& raised) -> caf::error {
    try {
      std::rethrow_exception(raised);
    } catch (const std::exception& x) {
      return caf::make_error(caf::sec::runtime_error, std::string(x.what()));
    } catch (...) {
      return caf::sec::runtime_error;
    }
  });
}

/// One wake-up at a time for a machine's `set_alarm`: a later time waits for the earlier
/// wake-up instead of queueing another message.
class alarm {
public:
  template <class Self>
  void set(Self* self, std::int64_t at_ms, std::int64_t now_ms) {
    wanted_ms_ = at_ms;
    if (scheduled_ms_ && *scheduled_ms_ <= at_ms) return;
    scheduled_ms_ = at_ms;
    self->delayed_send(self,
                       std::chrono::milliseconds(std::max<std::int64_t>(at_ms - now_ms, 0)),
                       alarm_atom::value, at_ms);
  }
  /// For a wake-up scheduled for `at_ms`: true if the machine's time has come.
  template <class Self>
  bool rang(Self* self, std::int64_t at_ms, std::int64_t now_ms) {
    if (scheduled_ms_ == at_ms) scheduled_ms_.reset();
    if (!wanted_ms_) return false;
    if (*wanted_ms_ > now_ms) {
      set(self, *wanted_ms_, now_ms);
      return false;
    }
    wanted_ms_.reset();
    return true;
  }

private:
  std::optional<std::int64_t> wanted_ms_, scheduled_ms_;
};

/// Handles of the peers that are up.
class peer_handles {
public:
  void up(node_index peer, caf::actor handle) { handles_[peer] = std::move(handle); }
  void down(node_index peer) { handles_.erase(peer); }
  template <class Self>
  void send(Self* self, node_index to, const wire_message& message) const {
    if (const auto at = handles_.find(to); at != handles_.end())
      self->send(at->second, frame_atom::value, frame_of(message));
  }
  template <class Self>
  void broadcast(Self* self, const wire_message& message) const {
    if (handles_.empty()) return;
    const auto frame = frame_of(message);
    for (const auto& [peer, handle] : handles_)
      self->send(handle, frame_atom::value, frame);
  }

private:
  static shared_frame frame_of(const wire_message& message) {
    return std::make_shared<const bytes>(make_frame(message));
  }
  std::map<node_index, caf::actor> handles_;
};

} // namespace tallymesh::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::node::wiring_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::node::submission_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::node::commit_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::node::execution_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::node::config_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::build_cut)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::require_batches)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::deliver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::work_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::cut_built)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::batches_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::batches_invalid)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::evidence_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::consensus::executed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::mempool::cut_finalized)
