#include "base/own_file.h"

#include <cstdint>
#include <mach-o/dyld.h>

std::vector<std::string> system_own_files() {
    uint32_t size = 0;
    _NSGetExecutablePath(nullptr, &size);
    std::string path(size, '\0');
    if (_NSGetExecutablePath(path.data(), &size) != 0) {
        return {};
    }
    return {path.c_str()};
}

std::string display_name(const std::string &path) {
    return path;
}

std::vector<std::string> system_own_command(bool) {
    return system_own_files();
}
