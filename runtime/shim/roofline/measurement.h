// Rates that a machine reaches, measured several times.

#pragma once

#include "roofline/instructions.h"

#include <cstdint>
#include <vector>

struct Rates {
    int threads = 0;
    double best = 0; // the limit: other work of the machine can only lower a rate
    double median = 0;
};

// The number of bytes that read_rates() reads: several times the largest cache, but at most a quarter of the memory
// that is available. Throws UserError if that is too little to measure anything.
uint64_t memory_to_read();

// GB/s of reading SIZE bytes with each of THREADS, in the order of THREADS. Throws UserError if the system does not
// give so much memory.
std::vector<Rates> read_rates(uint64_t size, const std::vector<Reader> &readers, const std::vector<int> &threads);

// GOP/s of INSTRUCTIONS with each of THREADS.
std::vector<Rates> operation_rates(const Instructions &instructions, const std::vector<int> &threads);
