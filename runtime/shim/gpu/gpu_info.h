// --gpu-info: what a look for GPUs finds.

#pragma once

// Prints it on standard output, for people or as JSON. Returns the exit status.
int print_gpu_info(bool as_json);
