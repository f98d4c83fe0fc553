#include "base/environment.h"

#include <cstdlib>

std::string variable(const std::string &name) {
    const char *value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
}
