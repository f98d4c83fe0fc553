#include "gpu/gpu_info.h"

#include "base/text.h"
#include "gpu/gpu.h"
#include "gpu/selection.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace {

constexpr double GIB = 1024.0 * 1024.0 * 1024.0;

const GpuRequest ANY{GpuRequest::Kind::ANY, ""};
const GpuRequest SOFTWARE{GpuRequest::Kind::SOFTWARE, ""};

bool is_among(const std::vector<GpuDevice> &devices, const GpuDevice &device) {
    return std::any_of(devices.begin(), devices.end(),
                       [&device](const GpuDevice &other) { return other.index == device.index; });
}

// The options that select DEVICE.
std::string use_of(const GpuDevice &device, const GpuReport &report) {
    if (!device.defect.empty()) {
        return "unusable: " + device.defect;
    }
    if (is_among(devices_for(ANY, report.devices), device)) {
        return "used with -ngl or --gpu auto";
    }
    const GpuRequest branded{GpuRequest::Kind::BRANDED, device.brand};
    if (!device.brand.empty() && is_among(devices_for(branded, report.devices), device)) {
        return "used with --gpu " + device.brand;
    }
    return is_among(devices_for(SOFTWARE, report.devices), device) ? "used with --gpu vulkan only"
                                                                   : "used only if LLAMAFILE_GPUS names it";
}

void print_device(const GpuDevice &device, const GpuReport &report) {
    const std::string features = device.features.empty() ? "none" : join(device.features, ", ");
    std::printf("device %zu: %s\n", device.index, escape_controls(device.name).c_str());
    std::printf("  brand:    %s\n", device.brand.empty() ? "unknown" : device.brand.c_str());
    std::printf("  type:     %s\n", name_of(device.type));
    std::printf("  memory:   %.1f GiB\n", static_cast<double>(device.memory) / GIB);
    std::printf("  driver:   %s\n", escape_controls(device.driver).c_str());
    std::printf("  features: %s\n", features.c_str());
    std::printf("  %s\n", use_of(device, report).c_str());
}

void print_json(const GpuReport &report) {
    nlohmann::ordered_json devices = nlohmann::ordered_json::array();
    for (const GpuDevice &device : report.devices) {
        nlohmann::ordered_json json = json_of(device);
        json["used"] = is_among(devices_for(ANY, report.devices), device);
        devices.push_back(json);
    }
    const nlohmann::ordered_json result = {{"devices", devices}, {"obstacle", report.obstacle}};
    std::puts(result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

} // namespace

int print_gpu_info(bool as_json) {
    const GpuReport report = report_gpus();
    if (as_json) {
        print_json(report);
        return 0;
    }
    for (const GpuDevice &device : report.devices) {
        print_device(device, report);
    }
    if (devices_for(ANY, report.devices).empty()) {
        std::printf("no GPU can be used: %s\n", no_devices_reason(ANY, report.devices, report.obstacle).c_str());
    }
    return 0;
}
