// Cursors of lists: where the next page begins, opaque to the client. A cursor is bound to its
// list, so that it is refused elsewhere instead of skipping rows. Pure functions; any thread.
#pragma once

#include "messages/receipt.hpp"
#include "messages/result.hpp"

namespace tallymesh::gateway {

/// `binding` says which list it is, byte for byte.
std::string make_cursor(bytes_view position, bytes_view binding);
/// Errors: malformed.
result<bytes> read_cursor(std::string_view text, bytes_view binding);

std::string make_place_cursor(const change_place& position, bytes_view binding);
result<change_place> read_place_cursor(std::string_view text, bytes_view binding);

} // namespace tallymesh::gateway
