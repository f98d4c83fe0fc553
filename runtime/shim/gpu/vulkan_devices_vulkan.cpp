#include "gpu/vulkan_devices.h"

#include "base/environment.h"
#include "gpu/vulkan_loader.h"

#include <algorithm>
#include <cstring>

namespace {

struct Brand {
    uint32_t vendor; // of PCI
    const char *name;
};

constexpr Brand BRANDS[] = {
    {0x10de, "nvidia"}, {0x1002, "amd"}, {0x1022, "amd"}, {0x8086, "intel"}, {0x106b, "apple"},
};

struct Feature {
    const char *extension;
    const char *name;
};

// Extensions that ggml-vulkan has faster code for.
constexpr Feature FEATURES[] = {
    {"VK_KHR_cooperative_matrix", "coopmat"},
    {"VK_NV_cooperative_matrix2", "coopmat2"},
    {"VK_KHR_shader_integer_dot_product", "integer dot product"},
    {"VK_KHR_shader_float16_int8", "float16"},
    {"VK_KHR_shader_bfloat16", "bfloat16"},
};

// Layers that other programs install into all: overlays, capture, selection of a display's GPU. They load windowing
// libraries, and some crash.
constexpr const char LAYERS_VARIABLE[] = "VK_LOADER_LAYERS_DISABLE";
constexpr const char IMPLICIT_LAYERS[] = "~implicit~";

constexpr uint32_t ENGINE_VERSION = VK_API_VERSION_1_2;

// The instance of one question, with the functions for it.
class Instance {
  public:
    explicit Instance(PFN_vkGetInstanceProcAddr get) : get_function(get) {
        VkApplicationInfo application{};
        application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
        application.apiVersion = ENGINE_VERSION;
        VkInstanceCreateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
        info.pApplicationInfo = &application;
        const auto create = function<PFN_vkCreateInstance>("vkCreateInstance");
        status = create == nullptr ? VK_ERROR_INITIALIZATION_FAILED : create(&info, nullptr, &instance);
    }

    Instance(const Instance &) = delete;
    Instance &operator=(const Instance &) = delete;

    ~Instance() {
        if (instance != VK_NULL_HANDLE) {
            function<PFN_vkDestroyInstance>("vkDestroyInstance")(instance, nullptr);
        }
    }

    VkResult result() const { return status; }

    template <typename Function> Function function(const char *name) const {
        return reinterpret_cast<Function>(get_function(instance, name));
    }

    std::vector<VkPhysicalDevice> devices() const {
        const auto enumerate = function<PFN_vkEnumeratePhysicalDevices>("vkEnumeratePhysicalDevices");
        uint32_t count = 0;
        enumerate(instance, &count, nullptr);
        std::vector<VkPhysicalDevice> found(count);
        enumerate(instance, &count, found.data());
        found.resize(count);
        return found;
    }

  private:
    PFN_vkGetInstanceProcAddr get_function;
    VkInstance instance = VK_NULL_HANDLE;
    VkResult status;
};

std::string brand_of(uint32_t vendor) {
    for (const Brand &brand : BRANDS) {
        if (brand.vendor == vendor) {
            return brand.name;
        }
    }
    return {};
}

GpuDevice::Type type_of(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return GpuDevice::Type::DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return GpuDevice::Type::INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return GpuDevice::Type::VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return GpuDevice::Type::SOFTWARE;
    default:
        return GpuDevice::Type::OTHER;
    }
}

uint64_t memory_of(const Instance &instance, VkPhysicalDevice device) {
    VkPhysicalDeviceMemoryProperties memory{};
    instance.function<PFN_vkGetPhysicalDeviceMemoryProperties>("vkGetPhysicalDeviceMemoryProperties")(device, &memory);
    uint64_t size = 0;
    for (uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
        if ((memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0) {
            size = std::max(size, memory.memoryHeaps[i].size);
        }
    }
    return size;
}

std::vector<std::string> features_of(const Instance &instance, VkPhysicalDevice device) {
    const auto enumerate =
        instance.function<PFN_vkEnumerateDeviceExtensionProperties>("vkEnumerateDeviceExtensionProperties");
    uint32_t count = 0;
    enumerate(device, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> extensions(count);
    enumerate(device, nullptr, &count, extensions.data());
    std::vector<std::string> found;
    for (const Feature &feature : FEATURES) {
        if (std::any_of(extensions.begin(), extensions.end(), [&feature](const VkExtensionProperties &extension) {
                return std::strcmp(extension.extensionName, feature.extension) == 0;
            })) {
            found.emplace_back(feature.name);
        }
    }
    return found;
}

// The engine's own condition, which it does not test for devices that it is told to use.
bool has_16_bit_storage(const Instance &instance, VkPhysicalDevice device) {
    VkPhysicalDeviceVulkan11Features storage{};
    storage.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    VkPhysicalDeviceFeatures2 features{};
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features.pNext = &storage;
    instance.function<PFN_vkGetPhysicalDeviceFeatures2>("vkGetPhysicalDeviceFeatures2")(device, &features);
    return storage.storageBuffer16BitAccess == VK_TRUE;
}

struct Identified {
    GpuDevice device;
    std::string unique; // the same for one GPU with two drivers
};

Identified describe(const Instance &instance, VkPhysicalDevice device, size_t index) {
    VkPhysicalDeviceIDProperties id{};
    id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
    VkPhysicalDeviceDriverProperties
        driver{}; // NOLINT(bugprone-invalid-enum-default-initialization): the driver sets it
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    driver.pNext = &id;
    VkPhysicalDeviceProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &driver;
    instance.function<PFN_vkGetPhysicalDeviceProperties2>("vkGetPhysicalDeviceProperties2")(device, &properties);
    GpuDevice found;
    found.index = index;
    found.name = properties.properties.deviceName;
    found.brand = brand_of(properties.properties.vendorID);
    found.type = type_of(properties.properties.deviceType);
    found.driver = std::string(driver.driverName) + " " + driver.driverInfo;
    found.memory = memory_of(instance, device);
    found.features = features_of(instance, device);
    if (properties.properties.apiVersion < ENGINE_VERSION) {
        found.defect = "its driver knows no Vulkan 1.2";
    } else if (!has_16_bit_storage(instance, device)) {
        found.defect = "it has no 16-bit storage";
    }
    return {found, std::string(reinterpret_cast<const char *>(id.deviceUUID), sizeof id.deviceUUID)};
}

// A GPU with two drivers is used through the one that the loader names first.
void mark_duplicates(std::vector<Identified> &found) {
    for (size_t i = 1; i < found.size(); ++i) {
        for (size_t j = 0; j < i && found[i].device.defect.empty(); ++j) {
            if (found[j].unique == found[i].unique && found[j].device.defect.empty()) {
                found[i].device.defect =
                    "it is device " + std::to_string(found[j].device.index) + " with another driver";
            }
        }
    }
}

} // namespace

VulkanDevices vulkan_devices() {
    if (variable(LAYERS_VARIABLE).empty()) {
        set_variable(LAYERS_VARIABLE, IMPLICIT_LAYERS);
    }
    if (vulkan_loader() == nullptr) {
        return {{}, missing_loader_reason()};
    }
    const Instance instance(vulkan_loader());
    if (instance.result() != VK_SUCCESS) {
        return {{}, "no driver for Vulkan works (error " + std::to_string(instance.result()) + ")"};
    }
    std::vector<Identified> found;
    for (VkPhysicalDevice device : instance.devices()) {
        found.push_back(describe(instance, device, found.size()));
    }
    mark_duplicates(found);
    VulkanDevices result;
    for (const Identified &item : found) {
        result.devices.push_back(item.device);
    }
    if (result.devices.empty()) {
        result.obstacle = "the Vulkan loader knows no device";
    }
    return result;
}
