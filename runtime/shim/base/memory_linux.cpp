#include "base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace {

constexpr uint64_t UNKNOWN = std::numeric_limits<uint64_t>::max();
constexpr const char CONTROL_GROUPS[] = "/sys/fs/cgroup";

// The number in the line NAME of the file PATH, or the file's only number if NAME is empty.
uint64_t number_in(const std::string &path, const std::string &name) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string word;
        uint64_t number = 0;
        if ((name.empty() || (words >> word && word == name)) && words >> number) {
            return number;
        }
    }
    return UNKNOWN; // the limit of a group may be the word "max"
}

uint64_t of_machine() {
    const uint64_t kibibytes = number_in("/proc/meminfo", "MemAvailable:");
    return kibibytes == UNKNOWN ? UNKNOWN : kibibytes * 1024;
}

// The container's part of the machine. The kernel drops the content of files, such as weights, when memory is short.
uint64_t of_group() {
    const std::string folder = CONTROL_GROUPS;
    const uint64_t limit = number_in(folder + "/memory.max", "");
    const uint64_t used = number_in(folder + "/memory.current", "");
    if (limit == UNKNOWN || used == UNKNOWN) {
        return UNKNOWN;
    }
    const uint64_t files = number_in(folder + "/memory.stat", "inactive_file");
    const uint64_t held = files == UNKNOWN || files > used ? used : used - files;
    return limit > held ? limit - held : 0;
}

} // namespace

uint64_t available_memory() {
    return std::min(of_machine(), of_group());
}
