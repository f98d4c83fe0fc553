// What ggml-cpu/traits.cpp calls.
#pragma once

#include <cstddef>

struct ggml_compute_params;
struct ggml_tensor;

// If OP can be computed here, true and the bytes of working memory that it takes by THREADS threads.
bool llamafile_work_size(int threads, const ggml_tensor *op, std::size_t *size);

// Computes OP together with the other threads; false if it cannot.
bool llamafile_compute(const ggml_compute_params *params, const ggml_tensor *op);
