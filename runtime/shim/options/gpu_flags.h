// The options for GPUs, of which a machine may have none.

#pragma once

#include "options/flags.h"

// An option that needs a GPU: without one, it is left out with a remark.
void on_gpu(Translator &to, const Flag &flag, const Option &option);

// --gpu, which takes a brand; the engine takes devices.
void gpu(Translator &to, const Flag &flag, const Option &option);
