#include "options/gpu_flags.h"

#include "base/text.h"
#include "options/translation.h"

#include <cstdlib>
#include <map>
#include <set>

namespace {

const std::map<std::string, std::string> BRANDS = {
    {"auto", "auto"},     {"nvidia", "nvidia"},   {"cublas", "nvidia"},    {"amd", "amd"},     {"rocm", "amd"},
    {"rocblas", "amd"},   {"hip", "amd"},         {"apple", "apple"},      {"metal", "apple"}, {"intel", "intel"},
    {"vulkan", "vulkan"}, {"disable", "disable"}, {"disabled", "disable"},
};

constexpr const char NOTHING[] = "0"; // layers

// As users write "all": the engine then takes as many as fit into the GPU's memory, as it does without the option.
// Given a number, it fails if they do not fit.
constexpr long AS_MANY_AS_FIT = 99;

// Options of the engine's, and of older llamafiles, that have an effect only on a GPU.
const std::set<std::string> LAYERS = {"-ngl", "--n-gpu-layers", "--gpu-layers"};
const std::set<std::string> DEVICES = {"-dev", "--device"};
const std::set<std::string> OTHERS = {"-ngld",
                                      "--n-gpu-layers-draft",
                                      "--gpu-layers-draft",
                                      "--spec-draft-ngl",
                                      "-ts",
                                      "--tensor-split",
                                      "-sm",
                                      "--split-mode",
                                      "-mg",
                                      "--main-gpu",
                                      "--list-devices"};

std::string last_value(const Options &options, const std::set<std::string> &names) {
    const Option *last = last_of(options, names);
    return last == nullptr || last->values.empty() ? "" : last->values.front();
}

std::string devices_of(const std::vector<Gpu> &gpus) {
    std::vector<std::string> devices;
    devices.reserve(gpus.size());
    for (const Gpu &gpu : gpus) {
        devices.push_back(gpu.device);
    }
    return join(devices, ",");
}

} // namespace

GpuRequest request_for(const std::string &value) {
    const auto found = BRANDS.find(lower_case(value));
    const std::string brand = found == BRANDS.end() ? "disable" : found->second; // the value is checked later
    if (brand == "disable") {
        return {};
    }
    if (brand == "auto") {
        return {GpuRequest::Kind::ANY, ""};
    }
    return {brand == "vulkan" ? GpuRequest::Kind::SOFTWARE : GpuRequest::Kind::BRANDED, brand == "vulkan" ? "" : brand};
}

GpuRequest gpu_request(const Options &options) {
    const std::string layers = last_value(options, LAYERS);
    const std::string device = last_value(options, DEVICES);
    if (layers == NOTHING || device == "none") {
        return {};
    }
    const std::string value = last_value(options, {"--gpu"});
    if (!value.empty()) {
        return request_for(value);
    }
    const bool is_wanted = !layers.empty() || !device.empty() || last_of(options, OTHERS) != nullptr;
    return {is_wanted ? GpuRequest::Kind::ANY : GpuRequest::Kind::NONE, ""};
}

bool names_gpu(const Options &options) {
    return last_of(options, LAYERS) != nullptr || last_of(options, DEVICES) != nullptr ||
           last_of(options, OTHERS) != nullptr || last_of(options, {"--gpu"}) != nullptr;
}

ToolArguments split_tool_arguments(const Arguments &arguments) {
    ToolArguments split;
    for (size_t at = 0; at < arguments.size(); ++at) {
        const bool has_value = at + 1 < arguments.size();
        if (arguments[at] == "--gpu" && has_value) {
            split.request = request_for(arguments[++at]);
            continue;
        }
        const bool is_wanted = LAYERS.count(arguments[at]) != 0 || DEVICES.count(arguments[at]) != 0;
        if (is_wanted && has_value && arguments[at + 1] != NOTHING && arguments[at + 1] != "none" &&
            split.request.kind == GpuRequest::Kind::NONE) {
            split.request.kind = GpuRequest::Kind::ANY;
        }
        split.rest.push_back(arguments[at]);
    }
    return split;
}

void on_gpu(Translator &to, const Flag &, const Option &option) {
    const GpuSearch &search = to.context().gpu_search;
    if (!search.gpus.empty() || to.context().has_workers) {
        if (LAYERS.count(option.name) == 0 || std::strtol(option.values[0].c_str(), nullptr, 10) < AS_MANY_AS_FIT) {
            to.pass(option.name, option.values);
        }
    } else if (!search.obstacle.empty() && option.values[0] != NOTHING) {
        to.remark(option.name,
                  "there is no GPU that this program can use: " + search.obstacle + "; the CPU computes everything");
    }
}

void gpu(Translator &to, const Flag &flag, const Option &option) {
    const GpuSearch &search = to.context().gpu_search;
    const std::string &brand = BRANDS.at(lower_case(option.values[0]));
    if (to.context().has_workers && (brand == "disable" || !search.gpus.empty())) {
        return; // a list of devices would leave out the workers'; the engine knows no other GPUs than those chosen
    }
    if (brand == "disable" || (search.gpus.empty() && search.obstacle.empty())) {
        to.pass("--device", {"none"});
    } else if (!search.gpus.empty()) {
        to.pass("--device", {devices_of(search.gpus)});
    } else if (brand == "auto") {
        on_gpu(to, flag, option);
    } else {
        to.refuse("--gpu " + option.values[0] +
                  " was asked for, but there is no such GPU that this program can use: " + search.obstacle);
    }
}
