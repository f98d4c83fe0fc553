#include "options/gpu_flags.h"

#include "base/text.h"
#include "options/translation.h"

#include <map>

namespace {

const std::map<std::string, std::string> BRANDS = {
    {"auto", "auto"},   {"nvidia", "nvidia"},   {"cublas", "nvidia"},    {"amd", "amd"},
    {"rocm", "amd"},    {"rocblas", "amd"},     {"hip", "amd"},          {"apple", "apple"},
    {"metal", "apple"}, {"disable", "disable"}, {"disabled", "disable"},
};

std::string devices_of(const std::vector<Gpu> &gpus, const std::string &brand) {
    std::vector<std::string> devices;
    for (const Gpu &usable : gpus) {
        if (usable.brand == brand) {
            devices.push_back(usable.device);
        }
    }
    return join(devices, ",");
}

} // namespace

void on_gpu(Translator &to, const Flag &, const Option &option) {
    if (!to.context().gpus.empty()) {
        to.pass(option.name, option.values);
    } else if (option.values[0] != "0") {
        to.remark(option.name, "there is no GPU that this program can use; the CPU computes everything");
    }
}

void gpu(Translator &to, const Flag &, const Option &option) {
    const std::string &brand = BRANDS.at(lower_case(option.values[0]));
    const std::string devices = devices_of(to.context().gpus, brand);
    if (!devices.empty()) {
        to.pass("--device", {devices});
    } else if (brand == "disable") {
        to.pass("--device", {"none"});
    } else if (brand != "auto") {
        to.refuse("--gpu " + option.values[0] + " was asked for, but there is no such GPU that this program can use");
    }
}
