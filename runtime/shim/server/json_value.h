// What the server asks of JSON in requests and answers.

#pragma once

#include "json.h"

// True if OBJECT is an object in which NAME has a value other than null.
inline bool has_value(const common_json &object, const char *name) {
    return object.is_object() && object.contains(name) && !object.at(name).is_null();
}
