#include "gpu/gpu.h"

#include "gpu/registration.h"

namespace {

constexpr const char DRIVER_ERROR[] = "vk::"; // of Vulkan's C++ interface

// The engine has one list of devices, which lasts as long as the process.
std::vector<Gpu> &registered() {
    static std::vector<Gpu> gpus;
    return gpus;
}

} // namespace

GpuSearch open_gpus(const GpuRequest &request, const std::string &argument0, const Arguments &user) {
    if (request.kind == GpuRequest::Kind::NONE) {
        return {};
    }
    GpuSearch search = register_gpus(request, argument0, user);
    registered() = search.gpus;
    return search;
}

const std::vector<Gpu> &gpus_in_use() {
    return registered();
}

std::string explanation_of(const std::exception &error) {
    const std::string what = error.what();
    return what.starts_with(DRIVER_ERROR)
               ? "the GPU failed (" + what + "): start again, or let the CPU compute: --gpu disable"
               : what;
}
