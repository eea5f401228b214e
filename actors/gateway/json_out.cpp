#include "actors/gateway/json_out.hpp"

namespace tallymesh::gateway {

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0; // everything before it is written
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (byte) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      (((out += "\\u00") += digits[byte >> 4]) += digits[byte & 15]);
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

json_out& json_out::key(std::string_view name) {
  separate();
  append_quoted(out_, name);
  out_ += ':';
  comma_ = false;
  return *this;
}

json_out& json_out::text(std::string_view x) {
  separate();
  append_quoted(out_, x);
  comma_ = true;
  return *this;
}

namespace {

struct value_writer {
  json_out& out;
  void operator()(std::monostate) const { out.null(); }
  void operator()(bool x) const { out.boolean(x); }
  void operator()(std::int64_t x) const { out.number(x); }
  void operator()(const decimal& x) const { out.text(x.to_text()); }
  void operator()(const std::string& x) const { out.text(x); }
  void operator()(const bytes& x) const { out.text(to_hex(x)); }
  void operator()(const value_list& x) const {
    out.begin_array();
    for (const auto& each : x)
      out.typed(each);
    out.end_array();
  }
  void operator()(const value_map& x) const { out.typed(x); }
};

} // namespace

json_out& json_out::typed(const value& x) {
  std::visit(value_writer{*this}, x.data);
  return *this;
}

json_out& json_out::typed(const value_map& x) {
  begin_object();
  for (const auto& [name, what] : x)
    key(name).typed(what);
  return end_object();
}

} // namespace tallymesh::gateway
