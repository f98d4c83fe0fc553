#include "base/cache_folder.h"

#include "base/environment.h"

#include <filesystem>
#include <system_error>

namespace {

#ifndef _WIN32
// Empty if it does not exist. It is not created: Debian gives users without one the name /nonexistent.
std::string home_folder() {
    const std::string home = variable("HOME");
    std::error_code ignored;
    return std::filesystem::is_directory(home, ignored) ? home : "";
}
#endif

std::string folder_for_caches() {
#ifdef _WIN32
    return variable("LOCALAPPDATA");
#else
    const std::string home = home_folder();
#ifdef __APPLE__
    return home.empty() ? "" : home + "/Library/Caches";
#else
    const std::string named = variable("XDG_CACHE_HOME");
    const bool is_absolute = named.starts_with('/'); // another one is to be ignored (XDG Base Directory Specification)
    return is_absolute ? named : home.empty() ? "" : home + "/.cache";
#endif
#endif
}

} // namespace

std::optional<std::string> user_cache_folder() {
    const std::string caches = folder_for_caches();
    return caches.empty() ? std::nullopt : std::optional(caches + "/llamafile");
}
