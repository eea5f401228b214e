// The archives behind encode and decode: cereal walks the members, these two say what an
// integer, a text, a list or a choice looks like in bytes. cereal's own binary archive is not
// used, because it resizes containers to lengths it has not checked. Include only from a source
// file that ends in TALLYMESH_ENCODING(type) lines; the headers behind this one are heavy. Any
// thread.
#pragma once

#include "messages/encoding.hpp"
#include "messages/limits.hpp"
#include "messages/little_endian.hpp"
#include "messages/shared_bytes.hpp"
#include "messages/value.hpp"

#include <array>
#include <cereal/cereal.hpp>
#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <variant>

namespace tallymesh {

/// Thrown inside `decode` only; never leaves it.
struct malformed_bytes {
  error why;
  malformed_bytes(const char* what) : why(make_error(errc::malformed, what)) {}
  explicit malformed_bytes(error reason) : why(std::move(reason)) {}
};

/// No element of a list of T may be encoded in more bytes than this.
template <class T>
constexpr std::size_t most_encoded_bytes = SIZE_MAX;

class encoding_writer
    : public cereal::OutputArchive<encoding_writer, cereal::AllowEmptyClassElision> {
public:
  explicit encoding_writer(bytes& out)
      : cereal::OutputArchive<encoding_writer, cereal::AllowEmptyClassElision>(this),
        out_(out) {}

  void raw(bytes_view part) { out_.insert(out_.end(), part.begin(), part.end()); }
  template <std::unsigned_integral T>
  void integer(T x) {
    std::uint8_t part[sizeof(T)];
    write_little_endian(part, x);
    raw(part);
  }
  void length(std::size_t x) {
    TALLYMESH_INVARIANT(x <= UINT32_MAX);
    integer(static_cast<std::uint32_t>(x));
  }

private:
  bytes& out_;
};

class encoding_reader
    : public cereal::InputArchive<encoding_reader, cereal::AllowEmptyClassElision> {
public:
  explicit encoding_reader(bytes_view in)
      : cereal::InputArchive<encoding_reader, cereal::AllowEmptyClassElision>(this), in_(in) {}

  bytes_view raw(std::size_t size) {
    if (size > in_.size() - promised_) throw malformed_bytes{"truncated"};
    const auto part = in_.first(size);
    in_ = in_.subspan(size);
    return part;
  }
  template <std::unsigned_integral T>
  T integer() {
    return read_little_endian<T>(raw(sizeof(T)).data());
  }
  /// A count of elements that take `least` bytes or more each. Those bytes are promised to them
  /// until `redeem` is called for each, so a list within a list cannot count on them again, and
  /// all lists together have room for no more elements than the input can hold.
  std::size_t promise(std::size_t least) {
    const std::size_t count = integer<std::uint32_t>();
    if (count > (in_.size() - promised_) / least)
      throw malformed_bytes{"length beyond the end"};
    promised_ += count * least;
    return count;
  }
  void redeem(std::size_t least) { promised_ -= least; }
  std::size_t left() const { return in_.size(); }

  int depth = 0; ///< of nested values
  std::size_t values = 0;
  struct nesting {
    encoding_reader& in;
    explicit nesting(encoding_reader& reader) : in(reader) {
      if (++in.depth > max_value_depth) throw malformed_bytes{"nested too deeply"};
      if (++in.values > limits::max_decoded_values) throw malformed_bytes{"too many values"};
    }
    ~nesting() { --in.depth; }
  };

private:
  bytes_view in_;
  std::size_t promised_ = 0; ///< of what is left; never more than that
};

template <class E>
void save(encoding_writer& out, const closed_enum<E>& x) {
  out.integer(static_cast<std::uint8_t>(x.value));
}
template <class E>
void load(encoding_reader& in, closed_enum<E>& x) {
  const auto raw = in.integer<std::uint8_t>();
  x.value = static_cast<E>(raw);
  if (!known(x.value)) throw malformed_bytes{"unknown kind"};
}

template <std::integral T>
void save(encoding_writer& out, const T& x) {
  if constexpr (std::same_as<T, bool>)
    out.integer(static_cast<std::uint8_t>(x));
  else
    out.integer(static_cast<std::make_unsigned_t<T>>(x));
}
template <std::integral T>
void load(encoding_reader& in, T& x) {
  if constexpr (std::same_as<T, bool>) {
    const auto raw = in.integer<std::uint8_t>();
    if (raw > 1) throw malformed_bytes{"a bool that is neither 0 nor 1"};
    x = raw == 1;
  } else {
    x = static_cast<T>(in.integer<std::make_unsigned_t<T>>());
  }
}

template <std::size_t N>
void save(encoding_writer& out, const std::array<std::uint8_t, N>& x) {
  out.raw(x);
}
template <std::size_t N>
void load(encoding_reader& in, std::array<std::uint8_t, N>& x) {
  const auto raw = in.raw(N);
  std::copy(raw.begin(), raw.end(), x.begin());
}

inline void save(encoding_writer& out, const std::string& x) {
  out.length(x.size());
  out.raw(as_bytes(x));
}
inline void load(encoding_reader& in, std::string& x) {
  const auto raw = in.raw(in.integer<std::uint32_t>());
  if (!is_utf8(as_text(raw))) throw malformed_bytes{"text that is not UTF-8"};
  x.assign(as_text(raw));
}

template <class T>
void save(encoding_writer& out, const std::vector<T>& x) {
  out.length(x.size());
  if constexpr (std::same_as<T, std::uint8_t>)
    out.raw(x);
  else
    for (const auto& each : x)
      out(each);
}
inline void save(encoding_writer& out, const shared_bytes& x) {
  out.length(x.size());
  out.raw(x);
}
inline void load(encoding_reader& in, shared_bytes& x) {
  x = shared_bytes(in.raw(in.integer<std::uint32_t>()));
}

/// The shortest that a T can be encoded: a default-constructed one has nothing of variable
/// length.
template <class T>
std::size_t least_encoded_bytes() {
  static const std::size_t size = encode(T{}).size();
  return size;
}
/// Reads the elements of a list, and calls `accept` after each.
template <class T, class Accept>
void load_elements(encoding_reader& in, std::vector<T>& x, Accept accept) {
  const auto least = least_encoded_bytes<T>();
  const auto count = in.promise(least);
  x.clear();
  x.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    in.redeem(least);
    const auto before = in.left();
    in(x.emplace_back());
    if (before - in.left() > most_encoded_bytes<T>)
      throw malformed_bytes{
          make_error(errc::too_large, "an element of a list is over its limit")};
    accept();
  }
}
template <class T>
void load(encoding_reader& in, std::vector<T>& x) {
  if constexpr (std::same_as<T, std::uint8_t>) {
    const auto raw = in.raw(in.integer<std::uint32_t>());
    x.assign(raw.begin(), raw.end());
  } else {
    load_elements(in, x, [] {});
  }
}
/// A map has one encoding: its keys strictly ascend.
inline void load(encoding_reader& in, value_map& x) {
  load_elements(in, x, [&x] {
    if (x.size() > 1 && !(x[x.size() - 2].first < x.back().first))
      throw malformed_bytes{"map keys out of order"};
  });
}

template <class T>
void save(encoding_writer& out, const std::optional<T>& x) {
  out(x.has_value());
  if (x) out(*x);
}
template <class T>
void load(encoding_reader& in, std::optional<T>& x) {
  bool present = false;
  in(present);
  if (present)
    in(x.emplace());
  else
    x.reset();
}

template <class A, class B>
void save(encoding_writer& out, const std::pair<A, B>& x) {
  out(x.first, x.second);
}
template <class A, class B>
void load(encoding_reader& in, std::pair<A, B>& x) {
  in(x.first, x.second);
}

/// One byte for the alternative, then the alternative.
template <class... Ts>
void save(encoding_writer& out, const std::variant<Ts...>& x) {
  out.integer(static_cast<std::uint8_t>(x.index()));
  std::visit([&](const auto& each) { out(each); }, x);
}
template <std::size_t I = 0, class... Ts>
void load_alternative(encoding_reader& in, std::variant<Ts...>& x, std::size_t index) {
  if constexpr (I < sizeof...(Ts)) {
    if (index == I)
      in(x.template emplace<I>());
    else
      load_alternative<I + 1>(in, x, index);
  } else {
    throw malformed_bytes{"unknown kind"};
  }
}
template <class... Ts>
void load(encoding_reader& in, std::variant<Ts...>& x) {
  load_alternative(in, x, in.integer<std::uint8_t>());
}

inline void save(encoding_writer&, const std::monostate&) {}
inline void load(encoding_reader&, std::monostate&) {}

inline void save(encoding_writer& out, const decimal& x) { out(x.units, x.scale); }
inline void load(encoding_reader& in, decimal& x) {
  in(x.units, x.scale);
  if (x.scale > decimal::max_scale) throw malformed_bytes{"decimal scale above 18"};
}

inline void save(encoding_writer& out, const value& x) { out(x.data); }
inline void load(encoding_reader& in, value& x) {
  const encoding_reader::nesting guard(in);
  in(x.data);
}

/// Arguments and events: 0 and themselves, or 1 and what is left of them.
template <class T, class Erased>
void save(encoding_writer& out, const erasable<std::vector<T>, Erased>& x) {
  out(x.erased.has_value());
  if (x.erased)
    out(*x.erased);
  else
    out(x.content);
}
template <class T, class Erased>
void load(encoding_reader& in, erasable<std::vector<T>, Erased>& x) {
  bool erased = false;
  in(erased);
  x.erased.reset();
  x.content.clear();
  if (erased)
    in(x.erased.emplace());
  else
    in(x.content);
}

/// A row before or after a change: 0 if there was none; 1 and the row; 2 and its digest.
template <class Erased>
void save(encoding_writer& out, const erasable<std::optional<shared_bytes>, Erased>& x) {
  out.integer(static_cast<std::uint8_t>(x.erased ? 2 : x.content ? 1 : 0));
  if (x.erased)
    out(*x.erased);
  else if (x.content)
    out(*x.content);
}
template <class Erased>
void load(encoding_reader& in, erasable<std::optional<shared_bytes>, Erased>& x) {
  x.content.reset();
  x.erased.reset();
  const auto form = in.integer<std::uint8_t>();
  if (form > 2) throw malformed_bytes{"unknown form of a row"};
  if (form == 1) in(x.content.emplace());
  if (form == 2) in(x.erased.emplace());
}

template <class T>
bytes encode(const T& x) {
  bytes out;
  encoding_writer writer(out);
  writer(x);
  return out;
}

template <class T>
result<T> decode(bytes_view raw) {
  try {
    encoding_reader reader(raw);
    T x;
    reader(x);
    if (reader.left() != 0) throw malformed_bytes{"trailing bytes"};
    return result<T>(std::move(x));
  } catch (malformed_bytes& refused) {
    return std::move(refused.why);
  }
}

} // namespace tallymesh

/// Instantiates encode and decode of `type`; stands in namespace tallymesh.
#define TALLYMESH_ENCODING(type)                                                               \
  template bytes encode<type>(const type&);                                                    \
  template result<type> decode<type>(bytes_view)
