// How a function says that what came from outside (a peer, a user, a disk) was not good: an
// error of a closed set, with enough context to print one helpful line. Any thread.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace tallymesh {

enum class errc {
  malformed,     ///< bytes or text that do not follow their format
  too_large,     ///< over a limit that the context names
  bad_signature, ///< a signature or a certificate that does not verify
  not_found,     ///< asked for what is not there
  conflict,      ///< contradicts what is already held
  forbidden,     ///< the right to do this was not given
  overloaded,    ///< a bounded queue is full; try again later
  expired,       ///< came after its last valid time
  bad_config, ///< a config or contract file with an error; the context names file, line and key
  storage,    ///< the disk or the store failed
  damaged,    ///< a stored record whose checksum does not match
  unsupported, ///< a format of another version
  unavailable, ///< a peer or a service cannot be reached
};

std::string_view to_string(errc code);

struct error {
  errc code;
  std::string context; ///< what was wrong, where, and what to do; one line
};

template <class T>
using result = boost::system::result<T, error>;

inline error make_error(errc code, std::string context) { return {code, std::move(context)}; }

/// Reached only by `value()` on a result that holds an error: our own mistake, so it ends the
/// process.
[[noreturn]] void throw_exception_from_error(const error& what, const boost::source_location&);

/// Ends the process with a line to stderr when our own invariant is broken; in release builds
/// too.
[[noreturn]] void invariant_broken(const char* condition, const char* file, int line);

} // namespace tallymesh

#define TALLYMESH_INVARIANT(condition)                                                         \
  (static_cast<bool>(condition)                                                                \
       ? void(0)                                                                               \
       : ::tallymesh::invariant_broken(#condition, __FILE__, __LINE__))
