#include "cpu_variant.h"

#include "cpu_features.h"
#include "ggml-cpu.h"
#include "message.h"

#include <cstdlib>
#include <iterator>
#include <string>

// One for each entry of runtime/variants.py, and the baseline.
#define VARIANT(name) extern "C" ggml_backend_reg_t name##_ggml_backend_cpu_reg()

VARIANT(baseline);
#if defined(__x86_64__)
VARIANT(nehalem);
VARIANT(sandybridge);
VARIANT(haswell);
VARIANT(alderlake);
VARIANT(skylakex);
VARIANT(zen4);
#elif defined(__APPLE__)
VARIANT(i8mm);
#else
VARIANT(dotprod);
VARIANT(fp16);
VARIANT(i8mm);
VARIANT(sve);
#endif

#undef VARIANT

namespace {

struct Variant {
    const char *name;
    CpuFeatures needs;
    ggml_backend_reg_t (*registration)();
};

#define VARIANT(name, needs)                                                                                           \
    { #name, needs, name##_ggml_backend_cpu_reg }

// The first one that a processor can run is the one it runs.
const Variant VARIANTS[] = {
#if defined(__x86_64__)
    VARIANT(zen4, X86_64_V4 | AVX512_VBMI | AVX512_VNNI | AVX512_BF16),
    VARIANT(alderlake, X86_64_V3 | AVX_VNNI),
    VARIANT(skylakex, X86_64_V4),
    VARIANT(haswell, X86_64_V3),
    VARIANT(sandybridge, X86_64_V2 | AVX),
    VARIANT(nehalem, X86_64_V2),
#elif defined(__APPLE__)
    VARIANT(i8mm, I8MM),
#else
    VARIANT(sve, DOTPROD | FP16 | I8MM | SVE),
    VARIANT(i8mm, DOTPROD | FP16 | I8MM),
    VARIANT(fp16, DOTPROD | FP16),
    VARIANT(dotprod, DOTPROD),
#endif
    VARIANT(baseline, 0),
};

#undef VARIANT

const Variant &choose() {
    const CpuFeatures present = cpu_features();
    const char *wanted = std::getenv("LLAMAFILE_CPU");
    const Variant *best = nullptr;
    for (const Variant &variant : VARIANTS) {
        if ((variant.needs & ~present) != 0) {
            continue;
        }
        best = best == nullptr ? &variant : best;
        if (wanted != nullptr && wanted == std::string(variant.name)) {
            return variant;
        }
    }
    if (wanted != nullptr && *wanted != '\0') {
        complain("LLAMAFILE_CPU names nothing that this processor can run; using '" + std::string(best->name) + "'");
    }
    return *best;
}

const Variant &chosen() {
    static const Variant &variant = choose();
    return variant;
}

} // namespace

const char *cpu_variant() {
    return chosen().name;
}

// All that the engine knows of what computes.
extern "C" ggml_backend_reg_t ggml_backend_cpu_reg() {
    return chosen().registration();
}
