#include "hooks/mapping.h"

bool can_be_mapped(const std::string &) {
    return true; // all file systems of Windows map files
}
