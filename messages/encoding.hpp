// The canonical encoding of everything that is said, signed, hashed or stored. One value has
// one encoding: fixed-width little-endian integers, lengths as u32, map keys ascending, no
// trailing bytes; README.md gives the layout of each type. A type takes part by a member
//   template <class Archive> void serialize(Archive& a) { a(first, second); }
// and one line in the source file that instantiates it through encoding_archive.hpp. Any
// thread.
#pragma once

#include "messages/bytes.hpp"
#include "messages/result.hpp"

namespace tallymesh {

/// Marks an enum member of a serialize() whose values are a closed set: `known(E)`, found by
/// argument-dependent lookup, says which; any other byte is refused.
template <class E>
struct closed_enum {
  E& value;
};
template <class E>
closed_enum<E> closed(E& value) {
  return {value};
}

/// Marks content in a serialize() that may have been erased: then `erased` is set, stands in
/// its place, and `content` is empty.
template <class T, class Erased>
struct erasable {
  T& content;
  std::optional<Erased>& erased;
};

template <class T>
bytes encode(const T& x);

/// Never allocates more than a constant times `raw.size()`.
/// Errors: malformed (truncated, trailing, out of range or not canonical).
template <class T>
result<T> decode(bytes_view raw);

} // namespace tallymesh
