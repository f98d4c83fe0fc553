// The devices that the Vulkan drivers of this machine offer.

#pragma once

#include "gpu/device.h"

#include <string>
#include <vector>

struct VulkanDevices {
    std::vector<GpuDevice> devices; // in the order of the loader, which is that of the engine's indices
    std::string obstacle;           // why there are none: the end of a sentence
};

// Asks the loader and the drivers, which may crash or hang.
VulkanDevices vulkan_devices();
