#include "base/arguments.h"

#include <algorithm>
#include <windows.h>

#include <shellapi.h>

namespace {

std::string utf8(const wchar_t *wide) {
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, nullptr, 0, nullptr, nullptr);
    std::string text(static_cast<size_t>(std::max(size, 1)), '\0');
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, text.data(), size, nullptr, nullptr);
    text.pop_back();
    return text;
}

} // namespace

Arguments command_line(int argc, char **argv) {
    int count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    if (wide == nullptr) {
        return Arguments(argv + (argc > 0), argv + argc);
    }
    Arguments result;
    for (int i = 1; i < count; ++i) {
        result.push_back(utf8(wide[i]));
    }
    LocalFree(wide);
    return result;
}
