#include "archive/companion.h"

#include <algorithm>
#include <cctype>

namespace {

constexpr const char WINDOWS_SUFFIX[] = ".exe";
constexpr const char SUFFIX[] = ".llamafile";

// In any case, as Windows has it.
bool ends_with(const std::string &path, const std::string &suffix) {
    return path.size() > suffix.size() &&
           std::equal(
               suffix.begin(), suffix.end(), path.end() - static_cast<std::ptrdiff_t>(suffix.size()),
               [](char expected, char got) { return expected == std::tolower(static_cast<unsigned char>(got)); });
}

} // namespace

std::vector<std::string> companions_of(const std::string &program) {
    std::vector<std::string> companions;
    std::string stem = program;
    if (ends_with(program, WINDOWS_SUFFIX)) {
        stem.resize(stem.size() - (sizeof WINDOWS_SUFFIX - 1));
        if (ends_with(stem, SUFFIX)) {
            companions.push_back(stem);
        }
    }
    if (!ends_with(stem, SUFFIX) && !stem.empty()) {
        companions.push_back(stem + SUFFIX);
    }
    return companions;
}
