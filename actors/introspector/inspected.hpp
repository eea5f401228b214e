// An actor that can be looked into. `inspected<Base>` counts every message of an actor in its
// meter, without the actor's doing; `inspected_actor<State>` is what the actors of a node are
// made of: it also shows what it holds (if there is a describe(const State&)), and can be
// paused for a while. CAF's own profiling is compiled out of the packaged library.
#pragma once

#include "actors/introspector/meter.hpp"
#include "actors/introspector/running.hpp"
#include "actors/introspector/trace.hpp"
#include "messages/caf_types.hpp"
#include "messages/value.hpp"
#include "messages/wire.hpp"

#include <caf/all.hpp>
#include <cxxabi.h>
#include <map>
#include <memory>

namespace tallymesh::introspector {

/// A request: (inspect_atom) -> described. Send it with high priority: it overtakes what waits.
using inspect_atom = caf::atom_constant<caf::atom("inspect")>;
/// A request: (mailbox_atom) -> described: `waiting`, a count for each kind of message that
/// waits. With high priority too.
using mailbox_atom = caf::atom_constant<caf::atom("mailbox")>;
/// (pause_atom, most_ms): handle nothing but introspection until (resume_atom), or so long.
using pause_atom = caf::atom_constant<caf::atom("pause")>;
using resume_atom = caf::atom_constant<caf::atom("resume")>;
/// A request to the mempool: (locate_atom, operation id) -> bool, whether it waits there.
using locate_atom = caf::atom_constant<caf::atom("locate")>;
using described = std::shared_ptr<const value_map>;

class metered {
public:
  virtual ~metered() = default;
  const std::shared_ptr<meter>& counts() const { return meter_; }

protected:
  const std::shared_ptr<meter> meter_ = std::make_shared<meter>();
};

/// The meter of any actor made here; null for others.
inline std::shared_ptr<meter> meter_of(const caf::actor& x) {
  const auto* found = dynamic_cast<const metered*>(caf::actor_cast<caf::abstract_actor*>(x));
  return found == nullptr ? nullptr : found->counts();
}

/// What a message is called, and its key in a meter.
class message_kind {
public:
  explicit message_kind(const caf::type_erased_tuple& x) {
    if (x.empty()) return;
    const auto type = x.type(0);
    if (type.first != caf::type_nr<caf::atom_value>::value) {
      type_ = type.second;
      key_ = type_ != nullptr ? reinterpret_cast<std::uintptr_t>(type_) : type.first;
      return;
    }
    atom_ = x.get_as<caf::atom_value>(0);
    key_ = static_cast<std::uint64_t>(atom_);
    if (atom_ != frame_atom::value) return;
    const auto* frame =
        x.match_elements<frame_atom, node_index, shared_frame>() ? &x.get_as<shared_frame>(2)
        : x.match_elements<frame_atom, shared_frame>()           ? &x.get_as<shared_frame>(1)
                                                                 : nullptr;
    if (frame == nullptr || !*frame || (*frame)->empty()) return;
    wire_ = (*frame)->front();
    bytes_ = (*frame)->size();
    key_ ^= (std::uint64_t{wire_} + 1) << 52;
  }

  meter::kind_key key() const { return key_; }
  std::uint64_t bytes() const { return bytes_; }
  std::string name() const {
    if (bytes_ > 0) return std::string(name_of_kind(wire_));
    if (key_ == static_cast<std::uint64_t>(atom_) && key_ != 0) return caf::to_string(atom_);
    return type_ != nullptr ? short_name(type_->name()) : "message " + std::to_string(key_);
  }

private:
  /// "std::shared_ptr<tallymesh::node::submission const>" as "submission".
  static std::string short_name(const char* mangled) {
    int failed = 0;
    const std::unique_ptr<char, void (*)(void*)> whole{
        abi::__cxa_demangle(mangled, nullptr, nullptr, &failed), &std::free};
    std::string name = whole ? whole.get() : mangled;
    if (const auto inside = name.find('<'); inside != name.npos)
      name = name.substr(inside + 1, name.find_first_of(" ,>", inside) - inside - 1);
    if (const auto colon = name.rfind(':'); colon != name.npos) name.erase(0, colon + 1);
    return name.substr(0, 40);
  }

  meter::kind_key key_ = 0;
  caf::atom_value atom_{};
  const std::type_info* type_ = nullptr;
  std::uint8_t wire_ = 0;
  std::uint64_t bytes_ = 0;
};

/// What waits for `self`, by kind; on its own thread. What CAF has not yet sorted into the
/// actor's queue is not seen: the length of the mailbox says how much that is.
template <class Actor>
value_map describe_mailbox(Actor& self) {
  constexpr std::size_t most = 10'000;
  std::map<meter::kind_key, std::pair<std::string, std::int64_t>> kinds;
  std::size_t seen = 0;
  const auto see = [&](const caf::mailbox_element& x) {
    if (++seen > most) return;
    const message_kind kind(x.content());
    auto& [name, count] = kinds[kind.key()];
    if (count++ == 0) name = kind.name();
  };
  self.mailbox().queue().peek_all(see);
  self.get_urgent_queue().cache().peek_all(see); // what a pause has put aside
  self.get_normal_queue().cache().peek_all(see);
  value_list list;
  for (auto& [key, each] : kinds) {
    value_map one;
    put(one, "kind", std::move(each.first));
    put(one, "count", value(each.second));
    list.emplace_back(std::move(one));
  }
  value_map out;
  put(out, "waiting_kinds", std::move(list));
  return out;
}

/// `Direct`: messages that a broker gets from its connections, past the mailbox.
template <class Base, class... Direct>
class inspected : public Base, public metered {
public:
  using Base::Base;
  using Base::enqueue;

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* unit) override {
    if (measuring.load(std::memory_order_relaxed)) {
      meter_->arrived(passage_of(*what));
      if (the_trace.runs() && what->sender && the_trace.of(what->sender->id())) {
        const message_kind kind(what->content());
        the_trace.note({steady_ns(), true, this->id(), {}, kind.name(), kind.bytes(), -1});
      }
    }
    Base::enqueue(std::move(what), unit);
  }

  caf::invoke_message_result consume(caf::mailbox_element& x) override {
    const runs_now here(meter_.get());
    return measuring.load(std::memory_order_relaxed) ? measured(x) : Base::consume(x);
  }
  using Base::consume;

private:
  static passage passage_of(const caf::mailbox_element& x) {
    return x.mid.is_urgent_message() ? passage::urgent : passage::normal;
  }

  caf::invoke_message_result measured(caf::mailbox_element& x) {
    auto by = passage_of(x);
    if constexpr (sizeof...(Direct) > 0)
      if ((x.content().template match_elements<Direct>() || ...)) by = passage::direct;
    const message_kind kind(x.content()); // before: the handler may move the message
    const auto from = x.sender ? x.sender->id() : 0;
    const auto began = steady_ns();
    const auto slot = meter_->begin(kind.key(), began, [&] { return kind.name(); });
    const auto outcome = Base::consume(x);
    if (outcome == caf::invoke_message_result::skipped) {
      meter_->skipped();
      return outcome;
    }
    const auto ended = steady_ns();
    meter_->end(slot, by, began, ended);
    if (the_trace.runs() && the_trace.of(this->id()))
      the_trace.note({began, false, from, {}, kind.name(), kind.bytes(), ended - began});
    return outcome;
  }
};

template <class State>
class inspected_actor : public inspected<caf::stateful_actor<State>> {
  using super = inspected<caf::stateful_actor<State>>;

public:
  using super::super;

  caf::invoke_message_result consume(caf::mailbox_element& x) override {
    if (paused_ && !is_for_introspection(x.content()))
      return caf::invoke_message_result::skipped;
    return super::consume(x);
  }
  using super::consume;

protected:
  caf::behavior make_behavior() override {
    auto own = super::make_behavior();
    if (!own) return own; // it ends at once
    return {own.as_behavior_impl()->or_else(caf::detail::make_behavior(
        [this](inspect_atom) -> described {
          if constexpr (requires(const State& x) { describe(x); })
            return std::make_shared<const value_map>(describe(this->state));
          else
            return std::make_shared<const value_map>();
        },
        [this](mailbox_atom) -> described {
          return std::make_shared<const value_map>(describe_mailbox(*this));
        },
        [this](pause_atom, std::int64_t most_ms) {
          set_paused(true);
          this->delayed_send(this, std::chrono::milliseconds(most_ms), resume_atom::value,
                             ++pauses_);
        },
        [this](resume_atom) { set_paused(false); },
        [this](resume_atom, std::uint64_t which) {
          if (which == pauses_) set_paused(false);
        }))};
  }

private:
  void set_paused(bool x) {
    paused_ = x;
    this->meter_->set_paused(x);
  }
  /// And what ends an actor, which must always pass.
  static bool is_for_introspection(const caf::type_erased_tuple& x) {
    if (x.match_elements<caf::exit_msg>()) return true;
    if (x.empty() || x.type(0).first != caf::type_nr<caf::atom_value>::value) return false;
    const auto atom = x.get_as<caf::atom_value>(0);
    return atom == inspect_atom::value || atom == mailbox_atom::value
           || atom == pause_atom::value || atom == resume_atom::value;
  }

  bool paused_ = false;
  std::uint64_t pauses_ = 0;
};

} // namespace tallymesh::introspector

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::introspector::described)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::operation_id)
