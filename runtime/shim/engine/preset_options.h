// The options of the server in lists of models, where they have names without dashes.

#pragma once

#include <string>
#include <vector>

struct PresetOption {
    bool is_known = false;
    std::vector<std::string> arguments; // of a command line; none for options of lists only
};

// The option NAME with VALUE.
PresetOption preset_option(const std::string &name, const std::string &value);
