// The probe for GPUs: a child loads the drivers and writes what they offer. If a driver crashes or hangs, it does so in
// the child.

#pragma once

#include "gpu/device.h"

#include <string>
#include <vector>

// In the environment of a program with ggml-vulkan: PROBE makes it a probe, PROBED says that one succeeded.
constexpr const char PROBE_VARIABLE[] = "LLAMAFILE_GPU_PROGRAM";
constexpr const char PROBE[] = "probe";
constexpr const char PROBED[] = "probed";

struct ProbeResult {
    std::vector<GpuDevice> devices;
    std::string obstacle;    // why there are none: the end of a sentence
    bool is_refused = false; // the system does not start the program from where it lies
};

// Starts PROGRAM as a probe.
ProbeResult probe_with(const std::string &program);

// Runs this process as a probe.
int run_probe();
