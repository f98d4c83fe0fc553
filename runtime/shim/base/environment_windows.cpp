#include "base/environment.h"

#include <cstdlib>

std::vector<std::string> variable_names() {
    std::vector<std::string> names;
    for (char **variable = _environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string text = *variable;
        names.push_back(text.substr(0, text.find('=')));
    }
    return names;
}

void set_variable(const std::string &name, const std::string &value) {
    _putenv_s(name.c_str(), value.c_str());
}

void remove_variable(const std::string &name) {
    _putenv_s(name.c_str(), "");
}
