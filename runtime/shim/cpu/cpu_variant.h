// The engine's computing code is in this program several times, compiled for older and newer processors.

#pragma once

// The name of the variant in use: the one in the environment variable LLAMAFILE_CPU if this processor can run it, else
// the best that it can run.
const char *cpu_variant();
