#include "base/own_file.h"

#include "base/environment.h"

namespace {

struct Start {
    std::string launcher;
    std::vector<std::string> command;
};

// Kept from the start of the process: later, the file may have been replaced by another one.
Start &start_of_process() {
    static Start start;
    return start;
}

} // namespace

std::vector<std::string> own_file_candidates(const std::string &argument0) {
    std::vector<std::string> candidates;
    if (const std::string named = variable(LAUNCHER_VARIABLE); !named.empty()) {
        candidates.push_back(named);
        remove_variable(LAUNCHER_VARIABLE);
        start_of_process().launcher = named;
    }
    start_of_process().command = system_own_command(!start_of_process().launcher.empty());
    if (start_of_process().command.empty() && argument0.find('/') != std::string::npos) {
        start_of_process().command = {argument0}; // as the script of an APE starts it
    }
    for (const std::string &path : system_own_files()) {
        candidates.push_back(path);
    }
    candidates.push_back(argument0);
    return candidates;
}

std::vector<std::string> own_command() {
    return start_of_process().command;
}

std::string own_launcher() {
    return start_of_process().launcher;
}
