// Writes JSON straight into a text: answers are built once, in order, and need no tree in
// between. The caller keeps the nesting right; commas are put by the writer. Value type; any
// thread.
#pragma once

#include "messages/value.hpp"

#include <concepts>

namespace tallymesh::gateway {

class json_out {
public:
  explicit json_out(std::string& out) : out_(out) {}

  json_out& begin_object() { return open('{'); }
  json_out& end_object() { return shut('}'); }
  json_out& begin_array() { return open('['); }
  json_out& end_array() { return shut(']'); }
  json_out& key(std::string_view name);

  json_out& text(std::string_view x);
  json_out& boolean(bool x) { return literal(x ? "true" : "false"); }
  json_out& null() { return literal("null"); }
  template <std::integral T>
  json_out& number(T x) {
    return literal(std::to_string(x));
  }
  /// Integers as numbers; decimals and bytes (hexadecimal) as texts: no reader then rounds
  /// them.
  json_out& typed(const value& x);
  json_out& typed(const value_map& x);

  json_out& field(std::string_view name, std::string_view x) { return key(name).text(x); }
  json_out& field(std::string_view name, const char* x) { return key(name).text(x); }
  template <std::integral T>
  json_out& field(std::string_view name, T x) {
    if constexpr (std::same_as<T, bool>)
      return key(name).boolean(x);
    else
      return key(name).number(x);
  }
  /// After the last element of a document; the next one begins anew (NDJSON).
  void end_line() {
    out_ += '\n';
    comma_ = false;
  }

private:
  json_out& open(char bracket) {
    separate();
    out_ += bracket;
    comma_ = false;
    return *this;
  }
  json_out& shut(char bracket) {
    out_ += bracket;
    comma_ = true;
    return *this;
  }
  json_out& literal(std::string_view x) {
    separate();
    out_ += x;
    comma_ = true;
    return *this;
  }
  void separate() {
    if (comma_) out_ += ',';
  }

  std::string& out_;
  bool comma_ = false;
};

void append_quoted(std::string& out, std::string_view text);

} // namespace tallymesh::gateway
