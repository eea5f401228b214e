// The gateway's OpenAPI description, compiled in from openapi.json. Any thread.
#pragma once

#include <string_view>

namespace tallymesh::gateway {

std::string_view openapi_text();

} // namespace tallymesh::gateway
