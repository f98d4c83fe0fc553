#include "sandbox/driver_rights.h"

#include "base/environment.h"
#include "base/file.h"

#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>

namespace {

// Drivers load parts of themselves when they are first used, and ask what the machine has.
constexpr const char *READ[] = {
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    "/usr/share/vulkan",
    "/usr/local/share/vulkan",
    "/etc/vulkan",
    "/usr/share/nvidia",
    "/usr/share/drirc.d",
    "/usr/share/libdrm",
    "/etc/drirc",
    "/sys/bus/pci",
    "/sys/class/drm",
    "/sys/dev/char",
    "/sys/devices",
    "/sys/module",
    "/proc/driver/nvidia",
    "/proc/devices",
    "/proc/modules",
    "/proc/version",
    "/proc/sys/vm",
};

constexpr const char DEVICES_FOLDER[] = "/dev";
constexpr const char *DEVICES[] = {"/dev/dri", "/dev/dxg", "/dev/kfd"};
constexpr const char NVIDIA_PREFIX[] = "nvidia";

// Below the user's folder for caches.
constexpr const char *CACHES[] = {"mesa_shader_cache", "mesa_shader_cache_db", "nvidia", "radv_builtin_shaders"};

// The folders that this process has libraries from: drivers may lie anywhere.
std::set<std::string> library_folders() {
    std::set<std::string> folders;
    const File file = open_file("/proc/self/maps", "rb");
    std::istringstream lines(file == nullptr ? "" : read_to_end(file.get()));
    for (std::string line; std::getline(lines, line);) {
        const size_t path = line.find('/');
        const size_t name = line.rfind('/');
        if (path != std::string::npos && name > path && line.find(".so", name) != std::string::npos) {
            folders.insert(line.substr(path, name - path));
        }
    }
    return folders;
}

void add_devices(Rights &rights) {
    rights.devices.insert(rights.devices.end(), std::begin(DEVICES), std::end(DEVICES));
    std::error_code error;
    for (const std::filesystem::directory_entry &entry : std::filesystem::directory_iterator(DEVICES_FOLDER, error)) {
        if (entry.path().filename().string().starts_with(NVIDIA_PREFIX)) {
            rights.devices.push_back(entry.path().string());
        }
    }
}

void add_caches(Rights &rights) {
    const std::string home = variable("HOME");
    const std::string given = variable("XDG_CACHE_HOME");
    if (home.empty() && given.empty()) {
        return;
    }
    const std::filesystem::path folder = given.empty() ? std::filesystem::path(home) / ".cache" : system_path(given);
    for (const char *name : CACHES) {
        std::error_code error;
        std::filesystem::create_directories(folder / name, error);
        rights.caches.push_back((folder / name).string());
    }
    rights.caches.push_back(home + "/.nv"); // of NVIDIA's older drivers
}

} // namespace

void add_driver_rights(Rights &rights) {
    rights.drive = true;
    rights.read_files = true;
    rights.write_files = true;
    rights.readable.insert(rights.readable.end(), std::begin(READ), std::end(READ));
    for (const std::string &folder : library_folders()) {
        rights.readable.push_back(folder);
    }
    add_devices(rights);
    add_caches(rights);
}
