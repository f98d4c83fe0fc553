#include "base/arguments.h"

#include <algorithm>

namespace {

constexpr const char PLACEHOLDER[] = "...";
constexpr const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf"; // editors on Windows write it at the start of text

std::string unescape(const std::string &line) {
    std::string result;
    for (size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == 'n') {
            result += '\n';
            ++i;
        } else {
            result += line[i];
        }
    }
    return result;
}

} // namespace

std::vector<char *> pointers_to(const Arguments &arguments) {
    std::vector<char *> pointers;
    for (const std::string &argument : arguments) {
        pointers.push_back(const_cast<char *>(argument.c_str())); // the type of main(); the engine does not write to it
    }
    pointers.push_back(nullptr);
    return pointers;
}

Arguments parse_lines(const std::string &text) {
    Arguments result;
    size_t start = text.starts_with(BYTE_ORDER_MARK) ? sizeof BYTE_ORDER_MARK - 1 : 0;
    while (start < text.size()) {
        const size_t end = std::min(text.find_first_of("\r\n", start), text.size());
        if (end > start) {
            result.push_back(unescape(text.substr(start, end - start)));
        }
        start = end + 1;
    }
    return result;
}

Arguments merge(const Arguments &defaults, const Arguments &user) {
    Arguments result;
    bool placed = false;
    for (const std::string &argument : defaults) {
        if (argument != PLACEHOLDER || placed) {
            result.push_back(argument);
        } else {
            result.insert(result.end(), user.begin(), user.end());
            placed = true;
        }
    }
    if (!placed) {
        result.insert(result.end(), user.begin(), user.end());
    }
    return result;
}

std::string normalised(std::string option) {
    if (option.starts_with("--")) {
        std::replace(option.begin(), option.end(), '_', '-');
    }
    return option;
}

bool has_option(const Arguments &arguments, const std::vector<std::string> &names) {
    return std::any_of(arguments.begin(), arguments.end(), [&](const std::string &argument) {
        return std::find(names.begin(), names.end(), normalised(argument)) != names.end();
    });
}
