// The devices for a request.

#pragma once

#include "gpu/device.h"
#include "gpu/gpu.h"

#include <string>
#include <vector>

// The devices that REQUEST and the user's choice in LLAMAFILE_GPUS allow, best first.
std::vector<GpuDevice> devices_for(const GpuRequest &request, const std::vector<GpuDevice> &devices);

// Why there are none for REQUEST among DEVICES; OBSTACLE is why there are no DEVICES.
std::string no_devices_reason(const GpuRequest &request, const std::vector<GpuDevice> &devices,
                              const std::string &obstacle);
