#include "cpu/cpu_variant.h"

#include "base/environment.h"
#include "base/message.h"
#include "ggml-cpu.h"
#include "hooks/hooks.h"

#include <algorithm>
#include <iterator>
#include <string>

// One for each entry of runtime/builder/cpu_variants.py, and the baseline.
#define VARIANT(name) extern "C" ggml_backend_reg_t name##_ggml_backend_cpu_reg()

VARIANT(baseline);
#if defined(__x86_64__)
VARIANT(zen4);
#ifndef LLAMAFILE_FEW_VARIANTS
VARIANT(nehalem);
VARIANT(sandybridge);
VARIANT(haswell);
VARIANT(alderlake);
VARIANT(skylakex);
#endif
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

// Versions of clang-format differ on braces in macros.
// clang-format off
#define VARIANT(name, needs) {#name, needs, name##_ggml_backend_cpu_reg}
// clang-format on
#define ZEN4 (X86_64_V4 | AVX512_VBMI | AVX512_VNNI | AVX512_BF16)

// The first one that the processor can run is used.
const Variant VARIANTS[] = {
#if defined(__x86_64__)
    {"sapphirerapids", ZEN4 | AMX, zen4_ggml_backend_cpu_reg}, // which calls llamafile_has_amx()
    VARIANT(zen4, ZEN4),
#ifndef LLAMAFILE_FEW_VARIANTS
    VARIANT(alderlake, X86_64_V3 | AVX_VNNI),
    VARIANT(skylakex, X86_64_V4),
#endif
#ifdef LLAMAFILE_FEW_VARIANTS
    {"haswell", X86_64_V3, baseline_ggml_backend_cpu_reg}, // all of the program is compiled for it
#else
    VARIANT(haswell, X86_64_V3),
    VARIANT(sandybridge, X86_64_V2 | AVX),
    VARIANT(nehalem, X86_64_V2),
#endif
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

#undef ZEN4
#undef VARIANT

bool can_run(const Variant &variant) {
    static const CpuFeatures present = cpu_features();
    if ((variant.needs & ~present) != 0) {
        return false;
    }
#if defined(__x86_64__)
    return (variant.needs & AMX) == 0 || ask_for_matrix_registers();
#else
    return true;
#endif
}

const Variant &choose() {
    const std::string name = variable("LLAMAFILE_CPU");
    const auto is_wanted = [&name](const Variant &variant) { return variant.name == name && can_run(variant); };
    const Variant *found = std::find_if(std::begin(VARIANTS), std::end(VARIANTS), is_wanted);
    if (found != std::end(VARIANTS)) {
        return *found;
    }
    const Variant &best = *std::find_if(std::begin(VARIANTS), std::end(VARIANTS), can_run);
    if (!name.empty()) {
        log_line("LLAMAFILE_CPU names nothing that this processor can run; using '" + std::string(best.name) + "'");
    }
    return best;
}

const Variant &chosen() {
    static const Variant &variant = choose();
    return variant;
}

} // namespace

const char *cpu_variant() {
    return chosen().name;
}

CpuFeatures cpu_variant_features() {
#if defined(__APPLE__) && defined(__aarch64__)
    return chosen().needs | DOTPROD | FP16; // which the oldest of these processors has
#else
    return chosen().needs;
#endif
}

#if defined(__x86_64__)
bool llamafile_has_amx() {
    return (chosen().needs & AMX) != 0;
}
#endif

// The only function of a variant that the engine calls.
extern "C" ggml_backend_reg_t ggml_backend_cpu_reg() {
    return chosen().registration();
}
