#include "base/router_child.h"

#include "base/environment.h"

std::string router_key() {
    return variable(CHILD_VARIABLE);
}

bool is_router_child() {
    return !router_key().empty();
}
