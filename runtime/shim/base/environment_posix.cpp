#include "base/environment.h"

#include <cstdlib>

extern char **environ; // macOS and the BSDs declare it in no header

std::vector<std::string> variable_names() {
    std::vector<std::string> names;
    for (char **variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string text = *variable;
        names.push_back(text.substr(0, text.find('=')));
    }
    return names;
}

void set_variable(const std::string &name, const std::string &value) {
    setenv(name.c_str(), value.c_str(), 1);
}

void remove_variable(const std::string &name) {
    unsetenv(name.c_str());
}
