// The options about GPUs, for a program that may have none.

#pragma once

#include "options/flags.h"

// One that makes sense only with a GPU: a remark without one.
void on_gpu(Translator &to, const Flag &flag, const Option &option);

// --gpu, which names a brand where the engine wants devices.
void gpu(Translator &to, const Flag &flag, const Option &option);
