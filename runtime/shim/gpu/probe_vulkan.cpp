#include "gpu/probe.h"
#include "gpu/vulkan_devices.h"

#include <cstdio>
#include <nlohmann/json.hpp>

int run_probe() {
    const VulkanDevices found = vulkan_devices();
    nlohmann::ordered_json devices = nlohmann::ordered_json::array();
    for (const GpuDevice &device : found.devices) {
        devices.push_back(json_of(device));
    }
    const nlohmann::ordered_json result = {{"devices", devices}, {"obstacle", found.obstacle}};
    const std::string text = result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0 ? 0 : 1;
}
