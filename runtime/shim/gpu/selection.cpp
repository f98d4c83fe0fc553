#include "gpu/selection.h"

#include "base/environment.h"

#include <algorithm>
#include <sstream>

namespace {

constexpr const char CHOICE_VARIABLE[] = "LLAMAFILE_GPUS";

std::vector<size_t> chosen_indices() {
    std::string text = variable(CHOICE_VARIABLE);
    std::replace(text.begin(), text.end(), ',', ' ');
    std::istringstream words(text);
    std::vector<size_t> indices;
    for (size_t index = 0; words >> index;) {
        indices.push_back(index);
    }
    return indices;
}

std::string list_of(const std::vector<GpuDevice> &devices) {
    std::string list;
    for (const GpuDevice &device : devices) {
        list += list.empty() ? "" : ", ";
        list += device.name + " (" + (device.defect.empty() ? name_of(device.type) : device.defect) + ")";
    }
    return list;
}

} // namespace

std::vector<GpuDevice> devices_for(const GpuRequest &request, const std::vector<GpuDevice> &devices) {
    return usable_devices(devices, request.brand, request.kind == GpuRequest::Kind::SOFTWARE, chosen_indices());
}

std::string no_devices_reason(const GpuRequest &request, const std::vector<GpuDevice> &devices,
                              const std::string &obstacle) {
    if (devices.empty()) {
        return obstacle;
    }
    const std::string wanted = request.kind == GpuRequest::Kind::BRANDED ? "a GPU of " + request.brand : "a usable GPU";
    return "none of the devices is " + wanted + ": " + list_of(devices);
}
