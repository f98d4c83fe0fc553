#include "base/program_name.h"

#include "base/environment.h"
#include "base/own_file.h"
#include "base/text.h"

namespace {

constexpr const char WINDOWS_EXTENSION[] = ".exe";

#ifdef _WIN32
constexpr const char SEPARATORS[] = "/\\";
#else
constexpr const char SEPARATORS[] = "/";
#endif

std::string program_name(const std::string &path) {
    std::string name = path.substr(path.find_last_of(SEPARATORS) + 1); // npos + 1 is 0
    if (has_extension(name, WINDOWS_EXTENSION)) {
        name.resize(name.size() - (sizeof WINDOWS_EXTENSION - 1));
    }
    return name;
}

} // namespace

bool is_started_as(const std::string &name, const std::string &argument0) {
    return program_name(argument0) == name || program_name(variable(LAUNCHER_VARIABLE)) == name;
}
