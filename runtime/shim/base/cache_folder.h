// The folder for what this user's llamafiles keep between two starts.

#pragma once

#include <optional>
#include <string>

// In the system's folder for caches; nothing if the user has none. It may not exist yet.
std::optional<std::string> user_cache_folder();
