// The Vulkan loader of the system, which finds the drivers: libvulkan.so.1, or vulkan-1.dll. No part of this program
// names it to the system's linker, so the program also starts where there is none.

#pragma once

#include <string>
#include <vulkan/vulkan_core.h>

// The loader's function for names of others; null if there is no loader.
PFN_vkGetInstanceProcAddr vulkan_loader();

// What the system says about the loader that is not there.
std::string missing_loader_reason();
