// One operation by the kernels, without the engine's CPU backend, and random shapes for it: a program that includes
// this is one file.
#pragma once

#include "kernels.h"
#include "repacking.h"

#include "ggml-cpu-impl.h"
#include "ggml.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

// Of the shim; ggml-base calls the first, the kernels the second.
void llamafile_zero(void *, size_t) {}
bool llamafile_has_amx() {
    return false;
}

// Of the engine's CPU backend.
ggml_backend_buffer_type_t ggml_backend_cpu_repack_buffer_type() {
    return &repack_type;
}

// The engine's threads, as far as kernels see them.
struct ggml_threadpool {
    std::barrier<> barrier;
    std::atomic<int> chunk = 0;
};

void ggml_barrier(ggml_threadpool *pool) {
    pool->barrier.arrive_and_wait();
}

void ggml_threadpool_chunk_set(ggml_threadpool *pool, int value) {
    pool->chunk = value;
}

int ggml_threadpool_chunk_add(ggml_threadpool *pool, int value) {
    return pool->chunk.fetch_add(value);
}

namespace {

std::mt19937 random_number(20261128);

int between(int least, int most) {
    return least + static_cast<int>(random_number() % (most - least + 1));
}

constexpr size_t GUARD = 64; // bytes behind the working memory, which must stay as they are

// False if the kernels leave OP to the engine.
bool compute(ggml_tensor *op, int threads) {
    size_t size = 0;
    if (!llamafile_work_size(threads, op, &size)) {
        return false;
    }
    std::vector<char> work(size + GUARD, 0x55);
    ggml_threadpool pool{std::barrier<>(threads)};
    std::vector<std::thread> others;
    const auto run = [&](int thread) {
        const ggml_compute_params params = {thread, threads, size, work.data(), &pool, false};
        llamafile_compute(&params, op);
    };
    for (int thread = 1; thread < threads; thread++) {
        others.emplace_back(run, thread);
    }
    run(0);
    for (std::thread &thread : others) {
        thread.join();
    }
    if (std::any_of(work.end() - GUARD, work.end(), [](char byte) { return byte != 0x55; })) {
        printf("the working memory was too small\n");
        exit(1);
    }
    return true;
}

} // namespace
