#include "base/own_file.h"

#include <climits>
#include <cstdlib>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr const char SELF[] = "/proc/self/exe";

// The path that was executed, if another program than the one that the kernel knows: an APE loader runs it.
const char *path_under_loader() {
    const auto executed = reinterpret_cast<const char *>(getauxval(AT_EXECFN));
    struct stat loader = {};
    struct stat program = {};
    const bool differs = executed != nullptr && stat(SELF, &loader) == 0 && stat(executed, &program) == 0 &&
                         (loader.st_dev != program.st_dev || loader.st_ino != program.st_ino);
    return differs ? executed : nullptr;
}

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

// A child's link leads to the same program as this one's, also when its name is gone.
std::vector<std::string> system_own_command(bool is_unpacked) {
    const char *path = is_unpacked ? nullptr : path_under_loader();
    if (path == nullptr) {
        return {SELF};
    }
    char resolved[PATH_MAX];
    const std::string program = realpath(path, resolved) == nullptr ? path : resolved;
    return {SELF, "-", program, program}; // ape(1)
}
