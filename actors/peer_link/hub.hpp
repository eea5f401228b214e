// The actor behind spawn_links. One broker holds every connection, so that what they share (who
// is up, how many strangers are inside, the log's limits) needs no messages between actors.
// Lives on the middleman's thread; its functions must not block.
#pragma once

#include "actors/introspector/inspected.hpp"
#include "actors/peer_link/door.hpp"
#include "actors/peer_link/framing.hpp"
#include "actors/peer_link/links.hpp"
#include "actors/peer_link/peer_handle.hpp"
#include "actors/peer_link/sparing_log.hpp"
#include "actors/peer_link/tls_session.hpp"

#include <caf/io/broker.hpp>
#include <map>
#include <random>

namespace tallymesh::peer_link {

using steady_clock = std::chrono::steady_clock;

struct guest;

/// How many lines the log has of something in this window of time.
struct told_lines {
  steady_clock::time_point since;
  int lines = 0;
};

/// One TCP connection, from its first byte to its end.
struct connection {
  enum class stage {
    handshake, ///< connecting, TLS, and waiting for the other side's hello
    up,
  };
  caf::io::connection_handle handle;
  std::uint64_t serial = 0; ///< never used again, unlike the handle, which is a descriptor
  std::string address;
  bool dialed = false;
  stage at = stage::handshake;
  std::optional<node_index> peer;  ///< whom we dial; for an accepted one what its key says
  std::unique_ptr<guest> as_guest; ///< an operator's connection, which has no peer
  std::unique_ptr<tls_session> tls;
  frame_reader reader;
  steady_clock::time_point opened, went_up, received, sent, pinged;
  bool heard = false;   ///< at least one byte came
  bool greeted = false; ///< our hello is written
  bool pong_due = false;
  bool ping_open = false;
  bool paused = false;          ///< reading, for want of receive credit
  std::size_t unsent_bytes = 0; ///< in the write buffer
  shared_frame sending; ///< taken from the queue, `sending_offset` bytes of it already written
  std::size_t sending_offset = 0;
  std::shared_ptr<send_queue> queue;
  std::shared_ptr<receive_credit> credit;
  caf::actor handle_actor; ///< the peer's handle, while up
};

/// One node of genesis, whether we reach it or not.
struct peer_slot {
  peer_identity identity;
  std::string resolved;       ///< numeric address of identity.host, once known
  connection* link = nullptr; ///< the one that is up
  bool dialing = false;
  steady_clock::time_point kept_down_until; ///< by an operator's order
  std::chrono::milliseconds backoff{};
  link_info totals;
  std::shared_ptr<std::atomic<std::uint64_t>> dropped;
  std::uint64_t dropped_logged = 0;
  told_lines told; ///< of its link's ups and downs
};

/// An operator that is connected: counted like a peer, and known to the introspector only.
struct guest {
  public_key key;
  peer_slot slot;
  steady_clock::time_point window; ///< in which `frames` and `bytes` are counted
  std::size_t frames = 0, bytes = 0;
};

/// Counted too: what comes from connections does not pass the mailbox.
using counted_broker =
    introspector::inspected<caf::io::broker, caf::io::new_data_msg,
                            caf::io::data_transferred_msg, caf::io::new_connection_msg,
                            caf::io::connection_closed_msg, caf::io::acceptor_closed_msg>;

class hub : public counted_broker {
public:
  hub(caf::actor_config& config, link_settings settings, caf::actor sink);

  const char* name() const override { return "peer_links"; }
  void on_exit() override;
  bool cleanup(caf::error&& reason, caf::execution_unit* host) override;

protected:
  caf::behavior make_behavior() override;

private:
  enum class ending { let_finish, at_once };

  // Opening
  bool make_identity();
  bool open_door();
  void dial(peer_slot& slot);
  void dial_later(peer_slot& slot);
  void keep_down(peer_slot& slot, std::chrono::milliseconds for_ms);
  void resolve(peer_slot& slot);
  void accept(caf::io::connection_handle handle);
  connection& add(caf::io::connection_handle handle, std::string address);
  void make_room_for_stranger(const std::string& newcomer);
  bool admit(connection& x, const public_key& key);

  // Reading
  void receive(connection& x, const std::vector<char>& wire);
  bool read_frames(connection& x, bytes_view plain);
  bool take(connection& x, link_frame frame);
  bool come_up(connection& x);
  void announce(const connection& x);
  void announce_end(const connection& x);

  // Operators
  bool admit_operator(connection& x, const public_key& key);
  bool within_rate(connection& x, std::size_t frames, std::size_t bytes);
  void cut_operator(connection& x, const std::string& why);
  void renew_operators(operator_list list);
  std::string why_no_guest(const connection& x);
  std::string make_room_for_operator(const public_key& key);
  void resume_reading(connection& x);

  // Writing
  bool greet(connection& x);
  void refuse_in_words(connection& x, const std::string& why);
  void pump(connection& x);
  std::size_t stage_frames(connection& x, bytes& plain);
  void write_control(connection& x, frame_kind kind);
  void write_plain(connection& x, bytes_view plain);
  void flush_output(connection& x);

  // Ending
  void refuse(connection& x, const std::string& kind, const std::string& why);
  void fail(connection& x, const error& why);
  void finish(connection& x, ending how, const std::string& why);
  void closed_by_other_side(connection& x);
  void take_down(connection& x, const std::string& why);
  void tell(const connection& x, int level, const std::string& line);

  void tick();
  void check_deadlines(connection& x);
  void log_drops();
  std::vector<link_info> report() const;
  connection* by_handle(caf::io::connection_handle handle);
  connection* by_serial(std::uint64_t serial);
  peer_slot* slot_of(const connection& x);
  std::string name_of(const connection& x);

  const link_settings settings_;
  caf::actor sink_;
  caf::actor operators_sink_; ///< the introspector
  operator_list operators_;
  struct operator_record {
    steady_clock::time_point kept_out_until; ///< it was cut
    told_lines told;
  };
  /// Of operators that were here: each connection is a new guest, but not a new operator. Holds
  /// at most the keys that were ever listed.
  std::map<public_key, operator_record> operators_seen_;
  std::optional<tls_context> identity_;
  caf::intrusive_ptr<door> door_;
  std::uint16_t port_ = 0;
  std::map<node_index, peer_slot> peers_;
  std::map<std::int64_t, std::unique_ptr<connection>> connections_; ///< by handle id
  std::uint64_t last_serial_ = 0;
  caf::actor resolver_;
  sparing_log log_;
  steady_clock::time_point now_, last_tick_; ///< now_: when the message in hand began
  std::minstd_rand jitter_;
  bool stopping_ = false;
  bytes plain_; ///< scratch, kept for its capacity
};

} // namespace tallymesh::peer_link
