// Programs that no GPU is written for, or that were built without.

#if !defined(LLAMAFILE_VULKAN) && !defined(LLAMAFILE_METAL) && !defined(__linux__)

#include "gpu/registration.h"

namespace {

constexpr const char OBSTACLE[] = "it was made without a part for GPUs";

} // namespace

GpuReport report_gpus() {
    return {{}, OBSTACLE};
}

GpuSearch register_gpus(const GpuRequest &, const std::string &, const Arguments &) {
    return {{}, OBSTACLE};
}

bool has_idle_gpu() {
    return false;
}

std::optional<int> probe_status() {
    return std::nullopt;
}

#endif
