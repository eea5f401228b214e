// Reads a fault script. Every error names file, line and column and says what to write instead.
// Pure; any thread; input is bounded before it is looked at.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/language/script.hpp"

namespace tallymesh::faults {

/// `file` only appears in errors. Errors: bad_config, too_large.
result<script> parse_script(std::string_view text, std::string file);

} // namespace tallymesh::faults
