// The archives behind encode and decode: cereal walks the members, these two say what an integer,
// a text, a list or a choice looks like in bytes. cereal's own binary archive is not used, because
// it resizes containers to lengths it has not checked. Include only from a source file that ends
// in TALLYMESH_ENCODING(type) lines; the headers behind this one are heavy. Any thread.
#pragma once

#include "messages/encoding.hpp"
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
  const char* what;
};

class encoding_writer : public cereal::OutputArchive<encoding_writer, cereal::AllowEmptyClassElision> {
public:
  explicit encoding_writer(bytes& out)
    : cereal::OutputArchive<encoding_writer, cereal::AllowEmptyClassElision>(this), out_(out) {}

  void raw(bytes_view part) { out_.insert(out_.end(), part.begin(), part.end()); }
  template <std::unsigned_integral T>
  void integer(T x) {
    std::uint8_t part[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) part[i] = static_cast<std::uint8_t>(x >> 8 * i);
    raw(part);
  }
  void length(std::size_t x) {
    TALLYMESH_INVARIANT(x <= UINT32_MAX);
    integer(static_cast<std::uint32_t>(x));
  }

private:
  bytes& out_;
};

class encoding_reader : public cereal::InputArchive<encoding_reader, cereal::AllowEmptyClassElision> {
public:
  explicit encoding_reader(bytes_view in)
    : cereal::InputArchive<encoding_reader, cereal::AllowEmptyClassElision>(this), in_(in) {}

  bytes_view raw(std::size_t size) {
    if (size > in_.size()) throw malformed_bytes{"truncated"};
    const auto part = in_.first(size);
    in_ = in_.subspan(size);
    return part;
  }
  template <std::unsigned_integral T>
  T integer() {
    const auto part = raw(sizeof(T));
    T x = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) x = static_cast<T>(x | T{part[i]} << 8 * i);
    return x;
  }
  /// A count of elements of at least one byte each: more than what is left cannot be true.
  std::size_t length() {
    const auto x = integer<std::uint32_t>();
    if (x > in_.size()) throw malformed_bytes{"length beyond the end"};
    return x;
  }
  std::size_t left() const { return in_.size(); }

  int depth = 0; ///< of nested values
  struct nesting {
    encoding_reader& in;
    explicit nesting(encoding_reader& reader) : in(reader) {
      if (++in.depth > max_value_depth) throw malformed_bytes{"nested too deeply"};
    }
    ~nesting() { --in.depth; }
  };

private:
  bytes_view in_;
};

template <class E>
void save(encoding_writer& out, const closed_enum<E>& x) { out.integer(static_cast<std::uint8_t>(x.value)); }
template <class E>
void load(encoding_reader& in, closed_enum<E>& x) {
  const auto raw = in.integer<std::uint8_t>();
  x.value = static_cast<E>(raw);
  if (!known(x.value)) throw malformed_bytes{"unknown kind"};
}

template <std::integral T>
void save(encoding_writer& out, const T& x) {
  if constexpr (std::same_as<T, bool>) out.integer(static_cast<std::uint8_t>(x));
  else out.integer(static_cast<std::make_unsigned_t<T>>(x));
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
void save(encoding_writer& out, const std::array<std::uint8_t, N>& x) { out.raw(x); }
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
  const auto raw = in.raw(in.length());
  if (!is_utf8(as_text(raw))) throw malformed_bytes{"text that is not UTF-8"};
  x.assign(as_text(raw));
}

template <class T>
void save(encoding_writer& out, const std::vector<T>& x) {
  out.length(x.size());
  if constexpr (std::same_as<T, std::uint8_t>) out.raw(x);
  else
    for (const auto& each : x) out(each);
}
template <class T>
void load(encoding_reader& in, std::vector<T>& x) {
  const auto count = in.length();
  x.clear();
  if constexpr (std::same_as<T, std::uint8_t>) {
    const auto raw = in.raw(count);
    x.assign(raw.begin(), raw.end());
  } else {
    // Grows with what is really there: a count alone reserves nothing.
    for (std::size_t i = 0; i < count; ++i) in(x.emplace_back());
  }
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
  if (present) in(x.emplace());
  else x.reset();
}

template <class A, class B>
void save(encoding_writer& out, const std::pair<A, B>& x) { out(x.first, x.second); }
template <class A, class B>
void load(encoding_reader& in, std::pair<A, B>& x) { in(x.first, x.second); }

/// One byte for the alternative, then the alternative.
template <class... Ts>
void save(encoding_writer& out, const std::variant<Ts...>& x) {
  out.integer(static_cast<std::uint8_t>(x.index()));
  std::visit([&](const auto& each) { out(each); }, x);
}
template <std::size_t I = 0, class... Ts>
void load_alternative(encoding_reader& in, std::variant<Ts...>& x, std::size_t index) {
  if constexpr (I < sizeof...(Ts)) {
    if (index == I) in(x.template emplace<I>());
    else load_alternative<I + 1>(in, x, index);
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
  if (const auto* map = x.as<value_map>())
    for (std::size_t i = 1; i < map->size(); ++i)
      if (!((*map)[i - 1].first < (*map)[i].first)) throw malformed_bytes{"map keys out of order"};
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
    return x;
  } catch (const malformed_bytes& failure) {
    return make_error(errc::malformed, failure.what);
  }
}

} // namespace tallymesh

/// Instantiates encode and decode of `type`; stands in namespace tallymesh.
#define TALLYMESH_ENCODING(type)                                                                 \
  template bytes encode<type>(const type&);                                                      \
  template result<type> decode<type>(bytes_view)
