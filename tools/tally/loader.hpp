// Sends many rows as store operations through one gateway or several, and accounts for each: a
// window of requests in flight a gateway, resent with the same operation ids until every one
// has its receipt, so that each row is stored exactly once whatever the connection does. The
// caller's thread reads rows; a thread a connection sends them.
#pragma once

#include "messages/operation.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/rows.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace tallymesh::tally {

/// 6 bytes of milliseconds since 1970, big-endian, then 10 random bytes: ids made later sort
/// later, which keeps the mesh's index of them compact.
operation_id new_operation_id();

/// {"id":..,"contract":..,"action":"store","arguments":{"table":..,"row":OBJECT}}
std::string store_operation(const operation_id& id, std::string_view contract,
                            std::string_view table, std::string_view row_object);

/// {"id":..,"contract":..,"action":ACTION,"arguments":OBJECT}
std::string call_operation(const operation_id& id, std::string_view contract,
                           std::string_view action, std::string_view arguments_object);

struct table_name {
  std::string contract, table;
  /// "contract.table". Errors: bad_config.
  static result<table_name> from_text(std::string_view text);
};

struct refused_row {
  std::size_t line = 0;
  std::string why;
};

struct load_summary {
  std::uint64_t stored = 0, unchanged = 0, refused = 0;
  std::vector<refused_row> first_refused; ///< the first few by line
  std::uint64_t last_height = 0;          ///< of the receipts
  std::uint64_t resent = 0;               ///< requests sent again
  std::chrono::milliseconds took{0};

  std::uint64_t all() const { return stored + unchanged + refused; }
};

struct load_settings {
  std::size_t window = 2;                           ///< requests in flight a gateway
  std::size_t request_rows = 1000;                  ///< operations a request
  std::chrono::milliseconds give_up_after{120'000}; ///< without any receipt from a gateway
  /// Rows are the arguments of an action, which `table` names in place of a table.
  bool calls = false;
};

class loader {
public:
  loader(const std::vector<gateway>& gateways, table_name table, load_settings settings);
  ~loader();
  loader(const loader&) = delete;
  loader& operator=(const loader&) = delete;

  /// Hands the row to gateway `to`; waits while its queue is full, calling `while_waiting` now
  /// and then. False once a gateway has been given up: the caller stops.
  bool add(std::size_t to, input_row row, const std::function<void()>& while_waiting);
  /// Sends what is left and waits for all receipts. Errors: those of a gateway given up.
  result<load_summary> finish(const std::function<void()>& while_waiting);
  std::uint64_t done() const;

private:
  using clock = std::chrono::steady_clock;
  struct pending {
    operation_id id;
    std::size_t line = 0;
    std::string text; ///< the operation's line of the request
  };
  using chunk = std::vector<pending>;
  struct lane {
    gateway to;
    chunk filling;
    std::size_t filling_bytes = 0;
    std::deque<chunk> queue;
    std::size_t busy = 0; ///< chunks being sent
    clock::time_point last_receipt;
  };

  void work(lane& mine);
  bool send(lane& mine, http_client& client, chunk& rows);
  result<http_response> post(http_client& client, const chunk& rows) const;
  /// Keeps in `rows` what must be sent again.
  void account(lane& mine, chunk& rows, std::string_view answer);
  bool wait_before_resend(lane& mine, std::chrono::milliseconds pause, const error& why);
  void refuse(std::size_t line, std::string why);
  void close(lane& which);

  table_name table_;
  load_settings settings_;
  clock::time_point started_ = clock::now();
  std::vector<std::unique_ptr<lane>> lanes_;
  mutable std::mutex mutex_; ///< guards all below, and each lane's queue and time
  std::condition_variable changed_;
  bool closing_ = false;
  std::optional<error> failure_;
  load_summary summary_;
  std::multimap<std::size_t, std::string> refused_; ///< bounded to the first few lines
  std::vector<std::thread> threads_;
};

} // namespace tallymesh::tally
