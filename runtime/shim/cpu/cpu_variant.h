// The engine's computing code is in this program several times, compiled for older and newer processors.

#pragma once

#include "cpu/cpu_features.h"

// The name of the variant in use: the one in the environment variable LLAMAFILE_CPU if this processor can run it, else
// the best that it can run.
const char *cpu_variant();

// The features that its code is compiled for, of each level of x86-64 the highest one only.
CpuFeatures cpu_variant_features();
