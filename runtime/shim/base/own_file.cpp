#include "base/own_file.h"

#include <cstdlib>

#if defined(_WIN32)
#include <windows.h>
#elif defined(__APPLE__)
#include <cstdint>
#include <mach-o/dyld.h>
#elif defined(__FreeBSD__) || defined(__NetBSD__)
#include <sys/param.h>
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#include <unistd.h>
#endif

namespace {

#ifdef __linux__
constexpr const char *LINUX_SELF = "/proc/self/exe";
#endif

std::string system_answer() {
#if defined(_WIN32)
    std::wstring wide(32768, L'\0');
    wide.resize(GetModuleFileNameW(nullptr, wide.data(), static_cast<DWORD>(wide.size())));
    std::string path(wide.size() * 4, '\0');
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide.data(), static_cast<int>(wide.size()), path.data(),
                                         static_cast<int>(path.size()), nullptr, nullptr);
    path.resize(static_cast<size_t>(size));
    return path;
#elif defined(__APPLE__)
    uint32_t size = 0;
    _NSGetExecutablePath(nullptr, &size);
    std::string path(size, '\0');
    return _NSGetExecutablePath(path.data(), &size) == 0 ? std::string(path.c_str()) : std::string();
#elif defined(__FreeBSD__) || defined(__NetBSD__)
#if defined(__FreeBSD__)
    const int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME, -1};
#else
    const int name[] = {CTL_KERN, KERN_PROC_ARGS, -1, KERN_PROC_PATHNAME};
#endif
    std::string path(MAXPATHLEN, '\0');
    size_t size = path.size();
    return sysctl(name, 4, path.data(), &size, nullptr, 0) == 0 ? std::string(path.c_str()) : std::string();
#elif defined(__linux__)
    return LINUX_SELF; // not what it links to: that name may be gone or mean another file by now
#else
    return {};
#endif
}

} // namespace

std::string file_name(const std::string &path) {
#ifdef __linux__
    if (path == LINUX_SELF) {
        char target[4096];
        const ssize_t size = readlink(LINUX_SELF, target, sizeof target);
        return size > 0 ? std::string(target, static_cast<size_t>(size)) : path;
    }
#endif
    return path;
}

std::vector<std::string> own_file_candidates(const char *argument0) {
    std::vector<std::string> candidates;
    if (const char *named = std::getenv(LAUNCHER_VARIABLE)) {
        candidates.emplace_back(named);
#ifdef _WIN32
        _putenv_s(LAUNCHER_VARIABLE, "");
#else
        unsetenv(LAUNCHER_VARIABLE);
#endif
    }
    candidates.push_back(system_answer());
#ifdef __linux__
    // Under an APE loader, /proc/self/exe is the loader, and this is the file that was started.
    if (const auto executed = getauxval(AT_EXECFN)) {
        candidates.emplace_back(reinterpret_cast<const char *>(executed));
    }
#endif
    if (argument0 != nullptr) {
        candidates.emplace_back(argument0);
    }
    return candidates;
}
