// The multiply-add instructions of the CPU variants, each in a loop that does nothing else: their rate is the limit of
// what multiplying matrices can reach.

#pragma once

#include "cpu/cpu_features.h"

#include <cstdint>
#include <vector>

struct Instructions {
    const char *kind; // the type of the factors: int8, bf16, f16 or f32
    const char *name;
    CpuFeatures needs;
    CpuFeatures better; // a variant with one of these features uses other instructions for this kind
    bool is_used;       // by the engine's code; otherwise the processor has them, and the engine makes no use of them
    double operations;  // multiplications and additions of one step
    void (*run)(uint64_t steps);
};

// Those for a variant with the features VARIANT, on a processor with the features PROCESSOR; at least one kind.
std::vector<Instructions> instructions_for(CpuFeatures variant, CpuFeatures processor);

// Reads SIZE bytes at MEMORY, a multiple of READ_UNIT, by the widest loads.
using Reader = void (*)(const char *memory, std::size_t size);

constexpr std::size_t READ_UNIT = 4096;

// Readers for a variant with the features VARIANT. None of them is the fastest on every processor.
std::vector<Reader> readers_for(CpuFeatures variant);
