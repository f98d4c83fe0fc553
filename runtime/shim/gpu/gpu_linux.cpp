// The static program: it looks for GPUs through the second program, which takes over if there is one.

#ifndef LLAMAFILE_VULKAN

#include "cpu/cpu_features.h"
#include "gpu/registration.h"
#include "gpu/second_program_linux.h"
#include "gpu/selection.h"

#include <algorithm>
#include <dirent.h>
#include <iterator>
#include <string>
#include <unistd.h>

namespace {

// NVIDIA's driver; Windows' own GPU in WSL; those of the kernel's graphics drivers are in a folder.
constexpr const char *DEVICES[] = {"/dev/nvidiactl", "/dev/dxg"};
constexpr const char RENDER_FOLDER[] = "/dev/dri";
constexpr const char RENDER_PREFIX[] = "renderD";

bool has_render_device() {
    DIR *const folder = opendir(RENDER_FOLDER);
    if (folder == nullptr) {
        return false;
    }
    bool found = false;
    while (const dirent *entry = readdir(folder)) {
        found |= std::string(entry->d_name).starts_with(RENDER_PREFIX);
    }
    closedir(folder);
    return found;
}

bool has_device() {
    return has_render_device() || std::any_of(std::begin(DEVICES), std::end(DEVICES),
                                              [](const char *device) { return access(device, F_OK) == 0; });
}

// The second program is compiled for newer processors (runtime/builder/gpu_platform.py).
bool can_run_second_program() {
#if defined(__x86_64__)
    return (cpu_features() & X86_64_V3) != 0;
#else
    return true;
#endif
}

constexpr const char OLD_PROCESSOR[] = "the part for GPUs needs a processor with AVX2";

} // namespace

bool has_idle_gpu() {
    return has_second_program() && has_device() && can_run_second_program();
}

GpuReport report_gpus() {
    if (!can_run_second_program()) {
        return {{}, OLD_PROCESSOR};
    }
    SecondProgram program;
    ProbeResult result = program.probe();
    return {std::move(result.devices), std::move(result.obstacle)};
}

GpuSearch register_gpus(const GpuRequest &request, const std::string &argument0, const Arguments &user) {
    if (request.kind != GpuRequest::Kind::SOFTWARE && !has_device()) {
        return {{}, "/dev has no device of one"};
    }
    if (!can_run_second_program()) {
        return {{}, OLD_PROCESSOR};
    }
    SecondProgram program;
    const ProbeResult found = program.probe();
    if (devices_for(request, found.devices).empty()) {
        return {{}, no_devices_reason(request, found.devices, found.obstacle)};
    }
    return {{}, program.take_over(argument0, user)};
}

std::optional<int> probe_status() {
    return std::nullopt;
}

#endif
