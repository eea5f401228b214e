// Which candidates this node began to look at and did not finish: a file each, on stable
// storage before the work begins, so that a candidate whose verification ends the process does
// so once. Owned by the duty `verify_proposals`; one thread.
#pragma once

#include "messages/result.hpp"

#include <filesystem>
#include <set>
#include <string>

namespace tallymesh::steward {

class begun_verifications {
public:
  /// Makes the directory, and finds what an earlier process left in it. Errors of this and the
  /// others: storage.
  static result<begun_verifications> open(std::filesystem::path directory);

  /// Whether an earlier process ended while it verified this one.
  bool ended_the_node(const std::string& proposal) const { return left_.contains(proposal); }
  /// Proposals of which that can be said, for `forget` when nobody asks for them any more.
  const std::set<std::string>& left() const { return left_; }

  result<void> begin(const std::string& proposal) const;
  result<void> finish(const std::string& proposal) const;
  result<void> forget(const std::string& proposal);

private:
  explicit begun_verifications(std::filesystem::path directory)
      : directory_(std::move(directory)) {}
  result<void> sync_directory() const;

  std::filesystem::path directory_;
  std::set<std::string> left_;
};

} // namespace tallymesh::steward
