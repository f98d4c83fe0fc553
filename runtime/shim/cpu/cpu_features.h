// The instruction set extensions that variants need, that the processor has, and that the system supports.

#pragma once

#include <cstdint>

using CpuFeatures = uint32_t; // one bit each

#if defined(__x86_64__)
// The levels of the psABI, each with those below it.
constexpr CpuFeatures X86_64_V2 = 1 << 0;
constexpr CpuFeatures AVX = 1 << 1;
constexpr CpuFeatures X86_64_V3 = 1 << 2;
constexpr CpuFeatures AVX_VNNI = 1 << 3;
constexpr CpuFeatures X86_64_V4 = 1 << 4;
constexpr CpuFeatures AVX512_VBMI = 1 << 5;
constexpr CpuFeatures AVX512_VNNI = 1 << 6;
constexpr CpuFeatures AVX512_BF16 = 1 << 7;
constexpr CpuFeatures AMX = 1 << 8; // matrices of 8-bit numbers
constexpr CpuFeatures AMX_BF16 = 1 << 9;
#else
constexpr CpuFeatures DOTPROD = 1 << 0;
constexpr CpuFeatures FP16 = 1 << 1;
constexpr CpuFeatures I8MM = 1 << 2;
constexpr CpuFeatures SVE = 1 << 3;
constexpr CpuFeatures BF16 = 1 << 4;
#endif

CpuFeatures cpu_features();

#if defined(__x86_64__)
// Requests the registers of AMX from the system; must be called before the sandbox. False if they are not granted.
bool ask_for_matrix_registers();
#endif
