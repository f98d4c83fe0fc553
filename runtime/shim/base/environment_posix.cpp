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

void remove_variable(const std::string &name) {
    unsetenv(name.c_str());
}
