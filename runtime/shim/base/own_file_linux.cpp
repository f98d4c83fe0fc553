#include "base/own_file.h"

#include <sys/auxv.h>
#include <unistd.h>

namespace {

constexpr const char SELF[] = "/proc/self/exe";

} // namespace

std::vector<std::string> system_own_files() {
    // Not the target of the link: its name may be gone, or name another file by now.
    std::vector<std::string> paths = {SELF};
    // Under an APE loader, the link leads to the loader, and this is the path that was executed.
    if (const auto executed = getauxval(AT_EXECFN)) {
        paths.emplace_back(reinterpret_cast<const char *>(executed));
    }
    return paths;
}

std::string display_name(const std::string &path) {
    if (path != SELF) {
        return path;
    }
    char target[4096];
    const ssize_t size = readlink(SELF, target, sizeof target);
    return size > 0 ? std::string(target, static_cast<size_t>(size)) : path;
}
