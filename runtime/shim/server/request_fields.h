// The fields of requests: their types, their ranges, and those that the server cannot obey.

#pragma once

#include "json.h"
#include "server/endpoint.h"

#include <stdexcept>
#include <string>

// A field that no request may have, or not with this value. The text names the field, its value and what is allowed.
class FieldError : public std::invalid_argument {
  public:
    FieldError(const std::string &name, const std::string &problem)
        : std::invalid_argument("'" + name + "' " + problem), field_name(name) {}

    // VALUE with what is ALLOWED instead, and WHY, unless that is empty.
    FieldError(const std::string &name, const common_json &value, const std::string &allowed,
               const std::string &why = "");

    const std::string &field() const { return field_name; }

  private:
    std::string field_name;
};

// Throws FieldError for the first field of BODY that ENDPOINT has documented and the server cannot obey as it is. A
// null value is no value. Fields that no API documents are the engine's matter.
void check_fields(Endpoint endpoint, const common_json &body);
