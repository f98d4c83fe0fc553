#include "gpu/device.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace {

using Type = GpuDevice::Type;

// By the value of the type, which is also the order of preference.
constexpr const char *NAMES[] = {"discrete", "integrated", "virtual", "software", "other"};

Type type_named(const std::string &name) {
    const auto *const found = std::find(std::begin(NAMES), std::end(NAMES), name);
    return found == std::end(NAMES) ? Type::OTHER : static_cast<Type>(found - std::begin(NAMES));
}

} // namespace

const char *name_of(Type type) {
    return NAMES[static_cast<size_t>(type)];
}

std::vector<GpuDevice> usable_devices(const std::vector<GpuDevice> &devices, const std::string &brand,
                                      bool with_software, const std::vector<size_t> &visible) {
    std::vector<GpuDevice> usable;
    const auto add = [&](const GpuDevice &device) {
        const bool fits = brand.empty() || device.brand == brand;
        if (fits && device.defect.empty() && (with_software || device.type != Type::SOFTWARE)) {
            usable.push_back(device);
        }
    };
    if (!visible.empty()) {
        for (const size_t index : visible) {
            std::for_each(devices.begin(), devices.end(), [&](const GpuDevice &device) {
                if (device.index == index) {
                    add(device);
                }
            });
        }
        return usable;
    }
    std::for_each(devices.begin(), devices.end(), add);
    std::stable_sort(usable.begin(), usable.end(),
                     [](const GpuDevice &left, const GpuDevice &right) { return left.type < right.type; });
    // An integrated GPU beside a discrete one would slow it down, and software any of them.
    const Type best = usable.empty() ? Type::OTHER : usable.front().type;
    usable.erase(
        std::remove_if(usable.begin(), usable.end(), [best](const GpuDevice &device) { return device.type != best; }),
        usable.end());
    return usable;
}

nlohmann::ordered_json json_of(const GpuDevice &device) {
    return {{"index", device.index},        {"name", device.name},     {"brand", device.brand},
            {"type", name_of(device.type)}, {"driver", device.driver}, {"memory", device.memory},
            {"features", device.features},  {"defect", device.defect}};
}

GpuDevice device_of(const nlohmann::ordered_json &json) {
    GpuDevice device;
    device.index = json.at("index");
    device.name = json.at("name");
    device.brand = json.at("brand");
    device.type = type_named(json.at("type"));
    device.driver = json.at("driver");
    device.memory = json.at("memory");
    device.features = json.at("features").get<std::vector<std::string>>();
    device.defect = json.at("defect");
    return device;
}
