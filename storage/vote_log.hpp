// What a node must not forget (rules S15, S16): its own votes and proposals, the blocks it
// voted for, and the certificates it acted on. Owned by the consensus actor. Threads: any, one
// write at a time.
#pragma once

#include "messages/vote_record.hpp"

#include <atomic>
#include <filesystem>
#include <memory>

namespace tallymesh::storage {

class environment;

view_number view_of(const vote_record& x);

class vote_log {
public:
  /// `expect_existing`: the ledger holds blocks, so this node has voted before. If its log is
  /// gone it must not vote again with the same key: not_found, and the context tells the
  /// operator so. Other errors: damaged, unsupported, conflict, storage.
  static result<std::unique_ptr<vote_log>> open(const std::filesystem::path& directory,
                                                const signing_domain& domain,
                                                bool expect_existing);
  ~vote_log();

  /// One synced transaction: all or nothing. Storing again what is there is fine; a second,
  /// different vote of one (view, kind) or proposal of one view is a conflict, and nothing is
  /// written.
  result<void> append(std::span<const vote_record> records);

  /// By view. Errors: damaged (the node must observe only), storage.
  result<std::vector<vote_record>> load() const;

  /// Forgets all views up to `through`: at once for load(), on the disk with the next append,
  /// so that pruning never costs a sync of its own. After a restart load() may show them again.
  void prune(view_number through);

private:
  explicit vote_log(std::unique_ptr<environment> env);
  std::unique_ptr<environment> env_;
  std::atomic<view_number> pruned_through_{0};
};

} // namespace tallymesh::storage
