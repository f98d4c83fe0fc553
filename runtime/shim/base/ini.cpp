#include "base/ini.h"

#include "base/text.h"
#include "base/user_error.h"

#include <algorithm>
#include <cctype>

namespace {

constexpr const char COMMENT[] = "#;";
constexpr const char BLANKS[] = " \t";
constexpr size_t SHOWN = 60; // bytes of a line in a message

std::string trimmed(const std::string &text) {
    const size_t start = text.find_first_not_of(BLANKS);
    return start == std::string::npos ? "" : text.substr(start, text.find_last_not_of(BLANKS) + 1 - start);
}

bool is_name(const std::string &text) {
    for (const unsigned char character : text) {
        if (std::isalnum(character) == 0 && character != '_' && character != '.' && character != '-') {
            return false;
        }
    }
    return !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) != 0 || text[0] == '_');
}

[[noreturn]] void refuse(int number, const std::string &line) {
    throw UserError("line " + std::to_string(number) + " is '" + escape_controls(line.substr(0, SHOWN)) +
                    "' (expected [NAME], NAME = VALUE or a comment)");
}

void parse_line(const std::string &line, int number, std::vector<IniSection> &sections) {
    const std::string content = trimmed(line.substr(0, line.find_first_of(COMMENT)));
    const size_t equals = content.find('=');
    if (content.empty()) {
        return;
    }
    if (content.front() == '[' && content.back() == ']' && content.find(']') == content.size() - 1) {
        sections.push_back({trimmed(content.substr(1, content.size() - 2)), number, {}});
    } else if (equals == std::string::npos || !is_name(trimmed(content.substr(0, equals)))) {
        refuse(number, line);
    } else {
        sections.back().entries.push_back(
            {trimmed(content.substr(0, equals)), trimmed(content.substr(equals + 1)), number});
    }
}

} // namespace

std::vector<IniSection> parse_ini(const std::string &text) {
    std::vector<IniSection> sections(1);
    int number = 0;
    for (size_t start = 0; start < text.size();) {
        const size_t end = std::min(text.find('\n', start), text.size());
        std::string line = text.substr(start, end - start);
        if (!line.empty() && line.back() == '\r') {
            line.pop_back();
        }
        parse_line(line, ++number, sections);
        start = end + 1;
    }
    return sections;
}
