#include "base/own_file.h"

#include <windows.h>

std::vector<std::string> system_own_files() {
    std::wstring wide(32768, L'\0');
    wide.resize(GetModuleFileNameW(nullptr, wide.data(), static_cast<DWORD>(wide.size())));
    std::string path(wide.size() * 4, '\0');
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide.data(), static_cast<int>(wide.size()), path.data(),
                                         static_cast<int>(path.size()), nullptr, nullptr);
    path.resize(static_cast<size_t>(size));
    return {path};
}

std::string display_name(const std::string &path) {
    return path;
}

std::vector<std::string> system_own_command(bool) {
    return system_own_files();
}
