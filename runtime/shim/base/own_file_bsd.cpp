// FreeBSD and NetBSD; OpenBSD has no such call.

#include "base/own_file.h"

#include <sys/param.h>
#include <sys/sysctl.h>

std::vector<std::string> system_own_files() {
#ifdef __FreeBSD__
    const int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME, -1};
#else
    const int name[] = {CTL_KERN, KERN_PROC_ARGS, -1, KERN_PROC_PATHNAME};
#endif
    std::string path(MAXPATHLEN, '\0');
    size_t size = path.size();
    if (sysctl(name, 4, path.data(), &size, nullptr, 0) != 0) {
        return {};
    }
    return {path.c_str()};
}

std::string display_name(const std::string &path) {
    return path;
}

std::vector<std::string> system_own_command(bool) {
    return system_own_files();
}
