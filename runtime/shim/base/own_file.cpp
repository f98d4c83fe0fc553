#include "base/own_file.h"

#include "base/environment.h"

std::vector<std::string> own_file_candidates(const std::string &argument0) {
    std::vector<std::string> candidates;
    if (const std::string named = variable(LAUNCHER_VARIABLE); !named.empty()) {
        candidates.push_back(named);
        remove_variable(LAUNCHER_VARIABLE);
    }
    for (const std::string &path : system_own_files()) {
        candidates.push_back(path);
    }
    candidates.push_back(argument0);
    return candidates;
}
