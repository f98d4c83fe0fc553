#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace {

char lower(char letter) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
}

std::string escape(std::string_view bytes, bool (*is_escaped)(unsigned char)) {
    std::string text;
    for (const char letter : bytes) {
        const auto byte = static_cast<unsigned char>(letter);
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, is_escaped(byte) ? "\\x%02x" : "%c", byte);
        text += escaped;
    }
    return text;
}

} // namespace

bool has_extension(std::string_view name, std::string_view extension) {
    return name.size() > extension.size() && std::equal(extension.rbegin(), extension.rend(), name.rbegin(),
                                                        [](char expected, char got) { return expected == lower(got); });
}

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), lower);
    return text;
}

std::vector<std::string> split_at(char separator, const std::string &text) {
    std::vector<std::string> parts;
    size_t start = 0;
    for (;;) {
        const size_t end = text.find(separator, start);
        if (end == std::string::npos) {
            parts.push_back(text.substr(start));
            return parts;
        }
        parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
}

std::string join(const std::vector<std::string> &parts, std::string_view separator) {
    std::string text;
    for (const std::string &part : parts) {
        text += &part == &parts.front() ? std::string_view() : separator;
        text += part;
    }
    return text;
}

std::string escape_controls(std::string_view text) {
    return escape(text,
                  [](unsigned char byte) { return (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f; });
}

std::string escape_binary(std::string_view bytes) {
    return escape(bytes, [](unsigned char byte) { return byte < 0x20 || byte >= 0x7f; });
}
