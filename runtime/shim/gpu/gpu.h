// The GPUs that this process computes with.
//
// Programs with ggml-vulkan inside use them at once: that for Windows, and the second program for Linux. The first
// program for Linux, which is static and therefore cannot load a driver, is replaced by the second one, a member of its
// archive (second_program.h). All of them first have a child look for GPUs (probe.h): a driver may crash or hang.
//
// Programs for macOS have ggml-metal inside, and look for GPUs themselves: Metal is a part of the system.

#pragma once

#include "base/arguments.h"
#include "gpu/device.h"

#include <exception>
#include <optional>
#include <string>
#include <vector>

struct Gpu {
    std::string brand;  // as in --gpu; empty if --gpu has no name for it
    std::string device; // as in the engine's --device
    std::string name;   // as its driver calls it
};

// What a command line asks for.
struct GpuRequest {
    enum class Kind {
        NONE,     // nothing is looked at
        ANY,      // the best of this machine; the CPU computes if there is none
        BRANDED,  // only GPUs of one brand
        SOFTWARE, // any Vulkan device, also one that computes on the CPU
    };

    Kind kind = Kind::NONE;
    std::string brand;
};

struct GpuSearch {
    std::vector<Gpu> gpus;
    std::string obstacle; // why there are none: the end of a sentence
};

struct GpuReport {
    std::vector<GpuDevice> devices; // all of this machine
    std::string obstacle;           // why there are none: the end of a sentence
};

// Finds the GPUs for REQUEST, and registers them with the engine. Does not return if another program takes over, which
// is then started as ARGUMENT0 with the arguments USER.
GpuSearch open_gpus(const GpuRequest &request, const std::string &argument0, const Arguments &user);

// Those that open_gpus() has registered with the engine.
const std::vector<Gpu> &gpus_in_use();

// ERROR as a sentence. The errors of ggml-vulkan are those of the driver, such as a lost device.
std::string explanation_of(const std::exception &error);

// The functions below are defined for each kind of program (gpu_*.cpp). own_container() must be known.

// Has a child look for all devices.
GpuReport report_gpus();

// True if this machine looks as if it had a GPU, and this program could use it. Starts nothing and loads no driver.
bool has_idle_gpu();

// For the program that was started as a probe: runs it. Nothing in other programs and processes.
std::optional<int> probe_status();
