#include "server/request_fields.h"

#include "server/field_table.h"

#include <cmath>

namespace {

constexpr size_t SHOWN = 60; // bytes of a value in a message

std::string shown(const common_json &value) {
    const std::string text = value.dump_safe();
    return text.size() <= SHOWN ? text : text.substr(0, text.find_last_of("\"[{, ", SHOWN)) + "…";
}

std::string number_text(double number) {
    const auto whole = static_cast<long long>(number);
    return static_cast<double>(whole) == number ? std::to_string(whole) : std::to_string(number);
}

std::string range_text(const Field &field, const std::string &kind) {
    if (field.max >= UNLIMITED) {
        return field.min <= -UNLIMITED ? kind : kind + " of at least " + number_text(field.min);
    }
    return kind + " from " + number_text(field.min) + " to " + number_text(field.max);
}

bool is_whole(const common_json &value) {
    if (value.is_number_integer()) {
        return true;
    }
    const double number = value.get<double>();
    return std::floor(number) == number; // 1.0, which some languages write for 1
}

bool is_in_range(const Field &field, const common_json &value) {
    const double number = value.get<double>();
    return number >= field.min && number <= field.max;
}

bool is_text(const common_json &value) {
    return value.is_string() && !value.empty() && !value.get<std::string>().empty();
}

bool are_texts(const common_json &value) {
    if (!value.is_array()) {
        return false;
    }
    for (const common_json &item : value) {
        if (!is_text(item)) {
            return false;
        }
    }
    return true;
}

bool is_one_of(const common_json &value, const common_json &allowed) {
    const std::string text = value.dump_safe();
    for (const common_json &item : allowed) {
        if (item.dump_safe() == text) {
            return true;
        }
    }
    return false;
}

// What FIELD allows, if it does not allow VALUE; else empty.
std::string expectation(const Field &field, const common_json &value) {
    switch (field.shape) {
    case Shape::BOOLEAN:
        return value.is_boolean() ? "" : "true or false";
    case Shape::INTEGER:
        return value.is_number() && is_whole(value) && is_in_range(field, value) ? "" : range_text(field, "an integer");
    case Shape::COUNT:
        return value.is_number() && is_whole(value) && is_in_range(field, value) && value.get<double>() != 0
                   ? ""
                   : "an integer of at least 1, or -1 for no limit";
    case Shape::NUMBER:
        return value.is_number() && is_in_range(field, value) ? "" : range_text(field, "a number");
    case Shape::STRING:
        return value.is_string() ? "" : "a string";
    case Shape::STRINGS:
        return are_texts(value) ? "" : "an array of strings, none of them empty";
    case Shape::TEXTS:
        return is_text(value) || are_texts(value) ? "" : "a string or an array of strings, none of them empty";
    case Shape::OBJECT:
        return value.is_object() ? "" : "an object";
    case Shape::ARRAY:
        return value.is_array() ? "" : "an array";
    case Shape::BIASES:
        return value.is_array() || value.is_object() ? "" : "an object or an array";
    case Shape::ONE_OF:
        break;
    }
    const common_json allowed = common_json::parse(field.allowed);
    if (is_one_of(value, allowed)) {
        return "";
    }
    std::string text;
    for (const common_json &item : allowed) {
        text += (text.empty() ? "" : ", ") + item.dump_safe();
    }
    return text.empty() ? "no value" : text;
}

} // namespace

FieldError::FieldError(const std::string &name, const common_json &value, const std::string &allowed,
                       const std::string &why)
    : FieldError(name, "is " + shown(value) + "; allowed is " + allowed + (why.empty() ? "" : ": " + why)) {}

void check_fields(Endpoint endpoint, const common_json &body) {
    for (const Field &field : all_fields()) {
        if ((field.endpoints & endpoint) == 0 || !body.contains(field.name) || body.at(field.name).is_null()) {
            continue;
        }
        const common_json &value = body.at(field.name);
        const std::string allowed = expectation(field, value);
        if (!allowed.empty()) {
            throw FieldError(field.name, value, allowed, field.why);
        }
    }
}
