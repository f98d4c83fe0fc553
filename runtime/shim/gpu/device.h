// The devices of the Vulkan drivers, as a child reports them to its parent.

#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

struct GpuDevice {
    enum class Type { DISCRETE, INTEGRATED, VIRTUAL, SOFTWARE, OTHER };

    size_t index = 0; // in the order of the loader
    std::string name;
    std::string brand; // as in --gpu; empty if --gpu has no name for it
    Type type = Type::OTHER;
    std::string driver;
    uint64_t memory = 0;               // bytes of its own, or for an integrated one those that it shares
    std::vector<std::string> features; // that make the engine faster
    std::string defect;                // why the engine cannot use it; empty if it can
};

const char *name_of(GpuDevice::Type type);

// The devices that the engine may use, best first: those of BRAND if it is not empty, software only if WITH_SOFTWARE.
// VISIBLE are the indices that the user limits the choice to, in order, or nothing.
std::vector<GpuDevice> usable_devices(const std::vector<GpuDevice> &devices, const std::string &brand,
                                      bool with_software, const std::vector<size_t> &visible);

nlohmann::ordered_json json_of(const GpuDevice &device);
GpuDevice device_of(const nlohmann::ordered_json &json);
