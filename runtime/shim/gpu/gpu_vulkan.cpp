// Programs with ggml-vulkan inside.

#include "gpu/registration.h"

#include "base/environment.h"
#include "base/message.h"
#include "base/own_file.h"
#include "ggml-backend.h"
#include "ggml-vulkan.h"
#include "ggml.h"
#include "gpu/probe.h"
#include "gpu/selection.h"
#include "gpu/shaders.h"
#include "gpu/vulkan_devices.h"

#include <cstdlib>
#include <string>

namespace {

// What the engine takes the indices of the devices from; sealed programs ignore the user's.
constexpr const char ENGINE_VARIABLE[] = "GGML_VK_VISIBLE_DEVICES";

void discard(ggml_log_level, const char *, void *) {}

// The state that the launcher's variable gives this process, which removes it: children of other kinds have none.
std::string take_state() {
    std::string taken = variable(PROBE_VARIABLE);
    remove_variable(PROBE_VARIABLE);
    return taken;
}

const std::string &state() {
    static const std::string taken = take_state();
    return taken;
}

// The engine lets the driver's errors out of functions and threads that nothing can catch them in.
[[noreturn]] void end_with_explanation() {
    try {
        if (const std::exception_ptr error = std::current_exception()) {
            std::rethrow_exception(error);
        }
    } catch (const std::exception &error) {
        log_line(explanation_of(error));
    } catch (...) {
        log_line("the GPU failed, in an unknown way");
    }
    std::_Exit(1);
}

std::string indices_of(const std::vector<GpuDevice> &devices) {
    std::string list;
    for (const GpuDevice &device : devices) {
        list += (list.empty() ? "" : ",") + std::to_string(device.index);
    }
    return list;
}

// Makes the engine use DEVICES. Returns why it does not: the end of a sentence, or nothing.
std::string register_devices(const std::vector<GpuDevice> &devices) {
    std::string obstacle = load_shaders();
    if (!obstacle.empty()) {
        return obstacle;
    }
    set_variable(ENGINE_VARIABLE, indices_of(devices));
    ggml_log_set(discard, nullptr); // which messages to show is not decided yet
    ggml_backend_reg_t backend = ggml_backend_vk_reg();
    if (backend == nullptr) {
        obstacle = "the engine cannot start its driver";
    } else {
        ggml_backend_register(backend);
        std::set_terminate(end_with_explanation);
    }
    ggml_log_set(nullptr, nullptr);
    return obstacle;
}

} // namespace

bool has_idle_gpu() {
    return false; // only a driver could tell
}

GpuReport report_gpus() {
    ProbeResult result = probe_with(system_own_files().front());
    return {std::move(result.devices), std::move(result.obstacle)};
}

GpuSearch register_gpus(const GpuRequest &request, const std::string &, const Arguments &) {
    if (state() != PROBED) {
        const GpuReport report = report_gpus();
        if (devices_for(request, report.devices).empty()) {
            return {{}, no_devices_reason(request, report.devices, report.obstacle)};
        }
    }
    const VulkanDevices found = vulkan_devices();
    const std::vector<GpuDevice> devices = devices_for(request, found.devices);
    if (devices.empty()) {
        return {{}, no_devices_reason(request, found.devices, found.obstacle)};
    }
    GpuSearch search;
    search.obstacle = register_devices(devices);
    if (search.obstacle.empty()) {
        for (const GpuDevice &device : devices) {
            search.gpus.push_back({device.brand, GGML_VK_NAME + std::to_string(search.gpus.size()), device.name});
        }
    }
    return search;
}

std::optional<int> probe_status() {
    if (state() != PROBE) {
        return std::nullopt;
    }
    return run_probe();
}
