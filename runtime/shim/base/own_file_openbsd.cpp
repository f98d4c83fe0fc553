#include "base/own_file.h"

std::vector<std::string> system_own_files() {
    return {}; // OpenBSD does not tell a program its path
}

std::string display_name(const std::string &path) {
    return path;
}

std::vector<std::string> system_own_command(bool) {
    return {};
}
