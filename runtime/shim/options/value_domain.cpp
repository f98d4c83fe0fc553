#include "options/value_domain.h"

#include "base/text.h"
#include "json.h"
#include "options/domain_table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <regex>
#include <sstream>

namespace {

constexpr long long PORT_MAX = 65535;

bool has_word(const Arguments &words, size_t from, const std::string &word) {
    return std::find(words.begin() + static_cast<std::ptrdiff_t>(std::min(from, words.size())), words.end(), word) !=
           words.end();
}

bool is_whole(const std::string &text) {
    static const std::regex form("[-+]?[0-9]+");
    return std::regex_match(text, form);
}

// WORDS begin with the ends of the range. Numbers beyond long long become its ends.
bool is_in_whole_range(const std::string &text, const Arguments &words) {
    const long long number = std::strtoll(text.c_str(), nullptr, 10);
    return std::stoll(words[0]) <= number && number <= std::stoll(words[1]);
}

bool is_size(const std::string &text, const Arguments &words) {
    static const std::regex kibi("[0-9]{1,5}[kK]");
    return std::regex_match(text, kibi) || (is_whole(text) && is_in_whole_range(text, words));
}

bool has_number_form(const std::string &text) {
    static const std::regex form("[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]+)?");
    return std::regex_match(text, form);
}

bool is_number(const std::string &text, const Arguments &words) {
    if (!has_number_form(text)) {
        return false;
    }
    const double number = std::strtod(text.c_str(), nullptr);
    const double size = std::fabs(number);
    using Float = std::numeric_limits<float>;
    if (number != 0 && (size < Float::min() || size > Float::max())) {
        return false; // the engine's conversion to float fails
    }
    const bool is_above = has_word(words, 2, "above");
    const double low = words[0] == "-" ? -HUGE_VAL : std::stod(words[0]);
    const double high = words[1] == "-" ? HUGE_VAL : std::stod(words[1]);
    return (is_above ? number > low : number >= low) && number <= high;
}

bool is_address(const std::string &text) {
    const size_t colon = text.rfind(':');
    return colon != std::string::npos && is_whole(text.substr(colon + 1)) &&
           is_in_whole_range(text.substr(colon + 1), {"0", std::to_string(PORT_MAX)});
}

bool are_numbers(const std::string &text, const std::string &separators) {
    size_t start = 0;
    for (;;) {
        const size_t end = text.find_first_of(separators, start);
        if (!has_number_form(text.substr(start, end - start))) {
            return false;
        }
        if (end == std::string::npos) {
            return true;
        }
        start = end + 1;
    }
}

bool is_list(const std::string &text, const Arguments &words) {
    std::istringstream items(text + words[0]);
    bool is_known = true;
    for (std::string item; std::getline(items, item, words[0].front());) {
        is_known = is_known && has_word(words, 1, lower_case(item));
    }
    return is_known;
}

bool contains(const Domain &domain, const std::string &value) {
    const Arguments &words = domain.words;
    if (domain.kind == "integer") {
        return has_word(words, 2, value) || (is_whole(value) && is_in_whole_range(value, words));
    }
    if (domain.kind == "size") {
        return is_size(value, words);
    }
    if (domain.kind == "number") {
        return is_number(value, words);
    }
    if (domain.kind == "numbers") {
        return are_numbers(value, words[0]);
    }
    if (domain.kind == "letters") {
        return !value.empty() && value.find_first_not_of(words[0]) == std::string::npos;
    }
    if (domain.kind == "json") {
        return !common_json::parse_no_throw(value).is_discarded();
    }
    if (domain.kind == "address") {
        return is_address(value);
    }
    if (domain.kind == "list") {
        return is_list(value, words);
    }
    if (domain.kind == "caseless") {
        return has_word(words, 0, lower_case(value));
    }
    return domain.kind != "choice" || has_word(words, 0, value);
}

std::string alternatives(const Arguments &words) {
    if (words.size() < 2) {
        return join(words, "");
    }
    return join({words.begin(), words.end() - 1}, ", ") + " or " + words.back();
}

std::string bounds(const Arguments &words) {
    std::string text;
    if (words[0] != "-") {
        text += (has_word(words, 2, "above") ? " greater than " : " from ") + words[0];
    }
    return text + (words[1] == "-" ? "" : " to " + words[1]);
}

std::string in_words(const Domain &domain) {
    Arguments shown(domain.words.begin(), domain.words.begin() + static_cast<std::ptrdiff_t>(domain.shown));
    if (domain.kind == "integer" || domain.kind == "size") {
        const std::string range = "a whole number from " + shown[0] + " to " + shown[1];
        shown.erase(shown.begin());
        shown.front() = range;
        return domain.kind == "size" ? range + " or one such as 8k" : alternatives(shown);
    }
    if (domain.kind == "number") {
        return "a number" + bounds(shown);
    }
    if (domain.kind == "numbers") {
        return "a number, or several of them with '" + shown[0].substr(0, 1) + "' between them";
    }
    if (domain.kind == "letters") {
        return "a text of the letters " + shown[0];
    }
    if (domain.kind == "json") {
        return "JSON";
    }
    if (domain.kind == "address") {
        return "HOST:PORT with a port up to " + std::to_string(PORT_MAX);
    }
    if (domain.kind == "list") {
        return alternatives({shown.begin() + 1, shown.end()}) + ", or several of them with '" + shown[0] +
               "' between them";
    }
    return alternatives(shown);
}

} // namespace

std::string value_refusal(const std::string &name, const Arguments &values) {
    const Domain *domain = domain_of(name);
    if (domain == nullptr || domain->kind == "scaled") {
        return {};
    }
    for (const std::string &value : values) {
        if (!contains(*domain, value)) {
            return join({"'", name, "' is ", in_words(*domain), ", not '", value, "'"}, "");
        }
    }
    return {};
}

bool needs_engine_check(const std::string &name) {
    static const Arguments kinds = {"engine", "json", "list", "number", "numbers"};
    const Domain *domain = domain_of(name);
    return domain != nullptr && has_word(kinds, 0, domain->kind);
}

std::string values_in_words(const std::string &name) {
    const Domain *domain = domain_of(name);
    return domain == nullptr || domain->kind == "engine" || domain->kind == "scaled" ? std::string()
                                                                                     : in_words(*domain);
}
