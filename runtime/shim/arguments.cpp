#include "arguments.h"

#include <algorithm>

#ifdef _WIN32
#include <windows.h>

#include <shellapi.h>
#endif

namespace {

constexpr const char PLACEHOLDER[] = "...";

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

std::string normalised(std::string option) {
    if (option.rfind("--", 0) == 0) {
        std::replace(option.begin(), option.end(), '_', '-');
    }
    return option;
}

bool is_one_of(const std::string &argument, const std::vector<std::string> &names) {
    return std::find(names.begin(), names.end(), normalised(argument)) != names.end();
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

Arguments parse_lines(const std::string &text) {
    Arguments result;
    size_t start = 0;
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

bool has_option(const Arguments &arguments, const std::vector<std::string> &names) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](const std::string &argument) { return is_one_of(argument, names); });
}

std::string last_of(const Arguments &arguments, const std::vector<std::string> &names) {
    const auto found = std::find_if(arguments.rbegin(), arguments.rend(),
                                    [&](const std::string &argument) { return is_one_of(argument, names); });
    return found == arguments.rend() ? std::string() : normalised(*found);
}

Arguments without(const Arguments &arguments, const std::vector<std::string> &names) {
    Arguments result;
    std::copy_if(arguments.begin(), arguments.end(), std::back_inserter(result),
                 [&](const std::string &argument) { return !is_one_of(argument, names); });
    return result;
}
