// The folder for what this user's llamafiles keep between two starts.

#pragma once

#include <optional>
#include <string>

// In the system's folder for caches, which may not exist yet; nothing if the user has none, or a home that does not
// exist.
std::optional<std::string> user_cache_folder();
