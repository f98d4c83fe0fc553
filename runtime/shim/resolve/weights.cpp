#include "resolve/weights.h"

#include "options/arguments.h"

#include <algorithm>
#include <cctype>

namespace {

constexpr const char SUFFIX[] = ".gguf";

bool is_gguf_name(const std::string &name) {
    const size_t size = sizeof SUFFIX - 1;
    return name.size() > size && std::equal(SUFFIX, SUFFIX + size, name.end() - size, [](char expected, char got) {
               return expected == std::tolower(static_cast<unsigned char>(got));
           });
}

// True of `x-00002-of-00003.gguf`, and of all its like but the first.
bool is_continuation(const std::string &name) {
    constexpr const char pattern[] = "-00000-of-00000"; // a digit stands for any digit
    const size_t size = sizeof pattern - 1, tail = size + sizeof SUFFIX - 1;
    if (name.size() < tail) {
        return false;
    }
    const std::string place = name.substr(name.size() - tail, size);
    const bool matches = std::equal(place.begin(), place.end(), pattern, [](char got, char expected) {
        return expected == '0' ? std::isdigit(static_cast<unsigned char>(got)) != 0 : got == expected;
    });
    return matches && place.rfind("-00001-", 0) != 0;
}

} // namespace

std::vector<const zip::Member *> weights_of(const Container &container) {
    std::vector<const zip::Member *> weights;
    for (const zip::Member &member : container.members()) {
        if (is_gguf_name(member.name) && !is_continuation(member.name)) {
            weights.push_back(&member);
        }
    }
    return weights;
}

std::string list_of_weights(const Container &container, const std::string &prefix) {
    std::string names;
    for (const zip::Member *member : weights_of(container)) {
        names += (names.empty() ? "'" : ", '") + prefix + member->name + "'";
    }
    return names;
}

const zip::Member *default_value(const Container &container, const std::vector<std::string> &options,
                                 std::string &problem) {
    const zip::Member *text_member = container.find_member(Container::DEFAULT_ARGUMENTS);
    std::string text;
    if (text_member == nullptr || !container.read_text(*text_member, text, problem)) {
        return nullptr;
    }
    const Arguments arguments = parse_lines(text);
    const zip::Member *found = nullptr;
    for (size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (has_option({arguments[i]}, options)) {
            found = container.find_member(arguments[++i]);
        }
    }
    return found;
}

const zip::Member *weights_meant(const Container &container, const std::vector<std::string> &options,
                                 std::string &problem) {
    const std::vector<const zip::Member *> weights = weights_of(container);
    if (weights.empty()) {
        problem = "'" + container.path() + "' holds no weights, and is none: it begins like no GGUF file";
        return nullptr;
    }
    if (weights.size() == 1) {
        return weights.front();
    }
    const zip::Member *member = default_value(container, options, problem);
    if (member == nullptr && problem.empty()) {
        problem = "'" + container.path() +
                  "' holds more than one GGUF file, and its .args do not say which is meant; " + "choose with " +
                  options.front() + ": " + list_of_weights(container, container.path() + "@");
    }
    return member;
}
