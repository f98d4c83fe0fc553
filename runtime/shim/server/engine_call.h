// Requests of the shim's own to the engine's routes.

#pragma once

#include "json.h"

#include <functional>
#include <string>

// Returns the answer to BODY, posted to PATH, or to a GET if BODY is null. Throws std::runtime_error with the engine's
// message if that is an error.
using EngineCall = std::function<common_json(const std::string &path, const common_json &body)>;
