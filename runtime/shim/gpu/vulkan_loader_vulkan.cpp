// ggml-vulkan asks the loader for all functions but four, which it calls by name: they are defined here.

#include "gpu/vulkan_loader.h"

#include "base/message.h"

#include <cstdlib>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace {

#ifdef _WIN32

constexpr const wchar_t LIBRARY[] = L"vulkan-1.dll";

PFN_vkGetInstanceProcAddr find_loader(std::string &reason) {
    // Only in the system's folder, where installers of drivers put it: not beside the program, not in the current
    // folder.
    HMODULE library = LoadLibraryExW(LIBRARY, nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (library == nullptr) {
        reason = "Windows has no vulkan-1.dll, which comes with the driver of a GPU";
        return nullptr;
    }
    return reinterpret_cast<PFN_vkGetInstanceProcAddr>(
        reinterpret_cast<void *>(GetProcAddress(library, "vkGetInstanceProcAddr")));
}

#else

PFN_vkGetInstanceProcAddr find_loader(std::string &reason) {
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char *error = dlerror();
        reason = std::string("there is no Vulkan loader, which distributions call libvulkan1 or vulkan-loader (") +
                 (error == nullptr ? "dlopen failed" : error) + ")";
        return nullptr;
    }
    return reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
}

#endif

struct Loader {
    std::string reason;
    PFN_vkGetInstanceProcAddr get = find_loader(reason);
};

const Loader &loader() {
    static const Loader found;
    return found;
}

// The engine has one instance, and passes it only to some of the four functions.
VkInstance last_instance = VK_NULL_HANDLE;

template <typename Function> Function required(const char *name) {
    const PFN_vkVoidFunction found = loader().get == nullptr ? nullptr : loader().get(last_instance, name);
    if (found == nullptr) {
        log_line(std::string("the Vulkan loader has no function ") + name);
        std::_Exit(1);
    }
    return reinterpret_cast<Function>(found);
}

} // namespace

PFN_vkGetInstanceProcAddr vulkan_loader() {
    return loader().get;
}

std::string missing_loader_reason() {
    return loader().reason;
}

extern "C" {

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char *name) {
    if (instance != VK_NULL_HANDLE) {
        last_instance = instance;
    }
    return loader().get == nullptr ? nullptr : loader().get(instance, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char *name) {
    static const auto real = required<PFN_vkGetDeviceProcAddr>("vkGetDeviceProcAddr");
    return real(device, name);
}

VKAPI_ATTR void VKAPI_CALL vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer source, VkBuffer target, uint32_t count,
                                           const VkBufferCopy *regions) {
    static const auto real = required<PFN_vkCmdCopyBuffer>("vkCmdCopyBuffer");
    real(commands, source, target, count, regions);
}

VKAPI_ATTR void VKAPI_CALL vkGetPhysicalDeviceFeatures2(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *features) {
    static const auto real = required<PFN_vkGetPhysicalDeviceFeatures2>("vkGetPhysicalDeviceFeatures2");
    real(device, features);
}

} // extern "C"
