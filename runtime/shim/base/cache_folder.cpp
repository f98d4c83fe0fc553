#include "base/cache_folder.h"

#include "base/environment.h"

namespace {

std::string folder_for_caches() {
#ifdef _WIN32
    return variable("LOCALAPPDATA");
#else
    const std::string home = variable("HOME");
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
