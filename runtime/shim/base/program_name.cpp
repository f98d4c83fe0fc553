#include "base/program_name.h"

#include "base/own_file.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace {

constexpr const char WINDOWS_SUFFIX[] = ".exe";

#ifdef _WIN32
constexpr const char SEPARATORS[] = "/\\";
#else
constexpr const char SEPARATORS[] = "/";
#endif

std::string base_name(const std::string &path) {
    std::string name = path.substr(path.find_last_of(SEPARATORS) + 1);
    const size_t size = sizeof WINDOWS_SUFFIX - 1;
    if (name.size() > size && std::equal(name.end() - size, name.end(), WINDOWS_SUFFIX, [](char got, char expected) {
            return std::tolower(static_cast<unsigned char>(got)) == expected;
        })) {
        name.resize(name.size() - size);
    }
    return name;
}

} // namespace

bool is_started_as(const std::string &name, const std::string &argument0) {
    const char *unpacked_from = std::getenv(LAUNCHER_VARIABLE);
    return base_name(argument0) == name || (unpacked_from != nullptr && base_name(unpacked_from) == name);
}
