#include "archive/companion.h"

#include "base/text.h"

namespace {

constexpr const char WINDOWS_EXTENSION[] = ".exe";
constexpr const char EXTENSION[] = ".llamafile";

} // namespace

std::vector<std::string> companions_of(const std::string &program) {
    std::vector<std::string> companions;
    std::string stem = program;
    if (has_extension(program, WINDOWS_EXTENSION)) {
        stem.resize(stem.size() - (sizeof WINDOWS_EXTENSION - 1));
        if (has_extension(stem, EXTENSION)) {
            companions.push_back(stem);
        }
    }
    if (!has_extension(stem, EXTENSION) && !stem.empty()) {
        companions.push_back(stem + EXTENSION);
    }
    return companions;
}
