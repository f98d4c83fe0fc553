#include "options/arguments.h"

#include <algorithm>

#ifdef _WIN32
#include <windows.h>

#include <shellapi.h>
#endif

namespace {

constexpr const char PLACEHOLDER[] = "...";
constexpr const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf"; // editors of Windows begin text with it

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

#ifdef _WIN32
std::string utf8(const wchar_t *wide) {
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, nullptr, 0, nullptr, nullptr);
    std::string text(static_cast<size_t>(std::max(size, 1)), '\0');
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, text.data(), size, nullptr, nullptr);
    text.pop_back();
    return text;
}
#endif

} // namespace

Arguments command_line(int argc, char **argv) {
#ifdef _WIN32
    int count = 0;
    if (wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count)) {
        Arguments result;
        for (int i = 1; i < count; ++i) {
            result.push_back(utf8(wide[i]));
        }
        LocalFree(wide);
        return result;
    }
#endif
    return Arguments(argv + (argc > 0), argv + argc);
}

std::vector<char *> pointers_to(const Arguments &arguments) {
    std::vector<char *> pointers;
    for (const std::string &argument : arguments) {
        pointers.push_back(const_cast<char *>(argument.c_str())); // main() may write to its arguments; nobody does
    }
    pointers.push_back(nullptr);
    return pointers;
}

Arguments parse_lines(const std::string &text) {
    Arguments result;
    size_t start = text.rfind(BYTE_ORDER_MARK, 0) == 0 ? sizeof BYTE_ORDER_MARK - 1 : 0;
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
    if (option.rfind("--", 0) == 0) {
        std::replace(option.begin(), option.end(), '_', '-');
    }
    return option;
}

bool has_option(const Arguments &arguments, const std::vector<std::string> &names) {
    return std::any_of(arguments.begin(), arguments.end(), [&](const std::string &argument) {
        return std::find(names.begin(), names.end(), normalised(argument)) != names.end();
    });
}
