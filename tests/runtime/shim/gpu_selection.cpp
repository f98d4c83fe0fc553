// Prints the indices of the devices that a request selects: BRAND WITH_SOFTWARE VISIBLE DEVICES, where VISIBLE is a
// list of indices or "-", and each device is TYPE:BRAND, or TYPE:BRAND:DEFECT.

#include "gpu/device.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace {

std::vector<size_t> indices(std::string text) {
    std::vector<size_t> found;
    std::istringstream words(text);
    for (size_t index = 0; words >> index;) {
        found.push_back(index);
    }
    return found;
}

GpuDevice device(const std::string &text, size_t index) {
    std::istringstream words(text);
    std::string type;
    std::string brand;
    std::string defect;
    std::getline(words, type, ':');
    std::getline(words, brand, ':');
    std::getline(words, defect);
    const nlohmann::ordered_json json = {{"index", index}, {"name", text}, {"brand", brand},       {"type", type},
                                         {"driver", ""},   {"memory", 0},  {"features", {"none"}}, {"defect", defect}};
    return device_of(json_of(device_of(json)));
}

} // namespace

int main(int count, char **arguments) {
    std::vector<GpuDevice> devices;
    for (int i = 4; i < count; ++i) {
        devices.push_back(device(arguments[i], devices.size()));
    }
    for (const GpuDevice &found :
         usable_devices(devices, arguments[1], arguments[2] == std::string("software"), indices(arguments[3]))) {
        std::cout << found.index << ' ';
    }
    std::cout << '\n';
}
