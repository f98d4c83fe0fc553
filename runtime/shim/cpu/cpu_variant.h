// What computes is in this program several times, compiled for older and newer processors; one of them is used.

#pragma once

// The name of the one in use: the best that this processor has all instructions for, or another that it has if the
// environment variable LLAMAFILE_CPU names it.
const char *cpu_variant();
