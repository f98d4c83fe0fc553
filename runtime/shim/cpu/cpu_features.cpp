#include "cpu/cpu_features.h"

// Uses cpuid and auxv: the compiler's own functions report no features at all in a static program with musl.

#if defined(__x86_64__)

#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

struct Registers {
    unsigned a = 0, b = 0, c = 0, d = 0;
};

// All zero if the processor has no such leaf.
Registers leaf(unsigned number, unsigned part = 0) {
    Registers is;
    __get_cpuid_count(number, part, &is.a, &is.b, &is.c, &is.d);
    return is;
}

constexpr bool has(unsigned word, unsigned bits) {
    return (word & bits) == bits;
}

// Which registers the system saves when it switches between programs (Intel SDM, volume 1, 13.3).
unsigned saved_registers() {
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

constexpr unsigned XMM_YMM = 0x06, OPMASK_ZMM = 0xe0, TILES = 0x60000;
constexpr unsigned LAHF = 1 << 0; // of leaf 0x80000001, ecx; cpuid.h has a name for it that differs among compilers

CpuFeatures features_of_avx512(const Registers &seven, const Registers &seven_one, unsigned saved) {
    CpuFeatures found = X86_64_V4;
    found |= has(seven.c, bit_AVX512VBMI) ? AVX512_VBMI : 0;
    found |= has(seven.c, bit_AVX512VNNI) ? AVX512_VNNI : 0;
    found |= has(seven_one.a, bit_AVX512BF16) ? AVX512_BF16 : 0;
    found |= has(seven.d, bit_AMXTILE | bit_AMXINT8) && has(saved, TILES) ? AMX : 0;
    found |= has(seven.d, bit_AMXTILE | bit_AMXBF16) && has(saved, TILES) ? AMX_BF16 : 0;
    return found;
}

} // namespace

CpuFeatures cpu_features() {
    const Registers one = leaf(1), seven = leaf(7), seven_one = leaf(7, 1), extended = leaf(0x80000001);
    CpuFeatures found = 0;
    if (!has(one.c, bit_SSE3 | bit_SSSE3 | bit_SSE41 | bit_SSE42 | bit_POPCNT | bit_CMPXCHG16B) ||
        !has(extended.c, LAHF)) {
        return found;
    }
    found |= X86_64_V2;
    const unsigned saved = has(one.c, bit_OSXSAVE) ? saved_registers() : 0;
    if (!has(one.c, bit_AVX) || !has(saved, XMM_YMM)) {
        return found;
    }
    found |= AVX;
    if (!has(one.c, bit_FMA | bit_F16C | bit_MOVBE) || !has(seven.b, bit_AVX2 | bit_BMI | bit_BMI2) ||
        !has(extended.c, bit_LZCNT)) {
        return found;
    }
    found |= X86_64_V3;
    found |= has(seven_one.a, bit_AVXVNNI) ? AVX_VNNI : 0;
    const unsigned v4 = bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL;
    return has(seven.b, v4) && has(saved, OPMASK_ZMM) ? found | features_of_avx512(seven, seven_one, saved) : found;
}

bool ask_for_matrix_registers() {
#ifdef __linux__
    constexpr int REQUEST = 0x1023, TILE_DATA = 18; // the kernel's asm/prctl.h and Documentation/arch/x86/xstate.rst
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
    return false; // on Windows, requesting them is another call, which is untested
#endif
}

#elif defined(__APPLE__)

#include <sys/sysctl.h>

namespace {

bool has(const char *feature) {
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname(feature, &has, &size, nullptr, 0) == 0 && has != 0;
}

} // namespace

CpuFeatures cpu_features() {
    return (has("hw.optional.arm.FEAT_I8MM") ? I8MM : 0) | (has("hw.optional.arm.FEAT_BF16") ? BF16 : 0);
}

#else

#include <sys/auxv.h>

namespace {

// Of the kernel's asm/hwcap.h, which not every system has.
constexpr unsigned long HALF_SCALAR = 1 << 9, HALF_VECTOR = 1 << 10, DOT_PRODUCT = 1 << 20, SCALABLE = 1 << 22;
constexpr unsigned long MATRIX = 1 << 13, BRAIN_FLOAT = 1 << 14; // of the second word

bool has(unsigned long word, unsigned long bits) {
    return (word & bits) == bits;
}

} // namespace

CpuFeatures cpu_features() {
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    return (has(first, DOT_PRODUCT) ? DOTPROD : 0) | (has(first, HALF_SCALAR | HALF_VECTOR) ? FP16 : 0) |
           (has(second, MATRIX) ? I8MM : 0) | (has(first, SCALABLE) ? SVE : 0) | (has(second, BRAIN_FLOAT) ? BF16 : 0);
}

#endif
