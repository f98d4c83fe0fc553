// The loop that reads memory, for each width of registers.

#pragma once

#include <cstddef>

// Processors fetch the next bytes of several streams at once, which takes more than one stream for the full rate.
constexpr std::size_t STREAMS = 4;
constexpr std::size_t BLOCK = 256;
constexpr std::size_t CACHE_LINE = 64;
constexpr std::size_t SUMS = 4;

// Defines NAME(memory, size), which is compiled with ATTRIBUTES, reads by loads of WIDTH bytes, and asks for the bytes
// DISTANCE ahead, if that is not zero. Wide vectors cannot be parameters of a function for all processors.
#define DEFINE_READER(name, attributes, width, distance)                                                               \
    attributes void name(const char *memory, std::size_t size) {                                                       \
        using Vector = long long __attribute__((vector_size(width)));                                                  \
        const std::size_t part = size / STREAMS;                                                                       \
        Vector sums[SUMS] = {};                                                                                        \
        for (std::size_t at = 0; at < part; at += BLOCK) {                                                             \
            for (std::size_t stream = 0; stream < STREAMS; ++stream) {                                                 \
                const char *block = memory + stream * part + at;                                                       \
                for (std::size_t line = 0; (distance) != 0 && line < BLOCK; line += CACHE_LINE) {                      \
                    __builtin_prefetch(block + (distance) + line);                                                     \
                }                                                                                                      \
                for (std::size_t offset = 0; offset < BLOCK; offset += (width)) {                                      \
                    sums[offset / (width) % SUMS] ^= *reinterpret_cast<const Vector *>(block + offset);                \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        const Vector sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];                                                      \
        [[maybe_unused]] volatile long long seen = sum[0];                                                             \
    }
