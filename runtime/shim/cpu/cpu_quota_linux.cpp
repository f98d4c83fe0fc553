#include "cpu/cpu_quota_linux.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace {

// A quota and its period, in microseconds, from files of a group.
using Reader = std::optional<double> (*)(const std::string &folder);

std::optional<double> ratio(double quota, double period) {
    if (quota > 0 && period > 0) {
        return quota / period;
    }
    return std::nullopt; // -1 is no limit
}

std::optional<double> read_version_2(const std::string &folder) {
    double quota = 0;
    double period = 0;
    std::ifstream(folder + "/cpu.max") >> quota >> period; // the text `max` is no number, and leaves 0
    return ratio(quota, period);
}

std::optional<double> read_version_1(const std::string &folder) {
    double quota = 0;
    double period = 0;
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
    return ratio(quota, period);
}

// The lowest quota of GROUP and the groups above it. In a container, only the last of these may have a folder.
std::optional<double> lowest(const std::string &hierarchy, std::string group, Reader read) {
    std::optional<double> quota;
    for (;;) {
        const std::optional<double> found = read(hierarchy + group);
        if (found && (!quota || *found < *quota)) {
            quota = found;
        }
        const size_t slash = group.rfind('/');
        if (slash == std::string::npos) {
            return quota;
        }
        group.resize(slash);
    }
}

bool has_cpu(const std::string &controllers) {
    std::istringstream list(controllers);
    for (std::string controller; std::getline(list, controller, ',');) {
        if (controller == "cpu") {
            return true;
        }
    }
    return false;
}

} // namespace

std::optional<double> cpu_quota(const std::string &root, const std::string &membership) {
    std::optional<double> quota;
    std::istringstream lines(membership);
    for (std::string line; std::getline(lines, line);) {
        const size_t first = line.find(':'); // ID:CONTROLLERS:GROUP
        const size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(second + 1);
        std::optional<double> found;
        if (controllers.empty()) {
            found = lowest(root, group, read_version_2);
        } else if (has_cpu(controllers)) {
            std::string hierarchy = root;
            found = lowest(hierarchy.append("/").append(controllers), group, read_version_1);
        }
        if (found && (!quota || *found < *quota)) {
            quota = found;
        }
    }
    return quota;
}
