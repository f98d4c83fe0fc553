// What programs do about GPUs, each kind in its own way (gpu_*.cpp).

#pragma once

#include "gpu/gpu.h"

// Finds the GPUs for REQUEST, which asks for some, and registers them with the engine. Does not return if another
// program takes over, which is then started as ARGUMENT0 with the arguments USER.
GpuSearch register_gpus(const GpuRequest &request, const std::string &argument0, const Arguments &user);
