// Programs that no GPU is written for, or that were built without.

#if !defined(LLAMAFILE_VULKAN) && !defined(LLAMAFILE_METAL) && !defined(__linux__)

#include "gpu/gpu.h"

namespace {

constexpr const char OBSTACLE[] = "it was made without a part for GPUs";

} // namespace

GpuReport report_gpus() {
    return {{}, OBSTACLE};
}

GpuSearch open_gpus(const GpuRequest &request, const std::string &, const Arguments &) {
    return {{}, request.kind == GpuRequest::Kind::NONE ? "" : OBSTACLE};
}

const std::vector<Gpu> &gpus_in_use() {
    static const std::vector<Gpu> none;
    return none;
}

bool has_idle_gpu() {
    return false;
}

std::string explanation_of(const std::exception &error) {
    return error.what();
}

std::optional<int> probe_status() {
    return std::nullopt;
}

#endif
