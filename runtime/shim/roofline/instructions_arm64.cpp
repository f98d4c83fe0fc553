#if defined(__aarch64__)

#include "roofline/instructions.h"
#include "roofline/reading.h"

#include <algorithm>
#include <arm_neon.h>
#include <iterator>

namespace {

// As many sums as hide the time that one instruction takes, and leave registers for the factors.
constexpr int SUMS_IN_REGISTERS = 16;

// Defines NAME(steps): in each step, SUM is set to NEXT for each of the sums, NEXT being computed of it and of the
// factors A and B. The empty assembler statements keep the compiler from computing anything only once.
#define DEFINE_LOOP(name, attributes, Sum, zero, factor, next)                                                         \
    attributes void name(uint64_t steps) {                                                                             \
        Sum sums[SUMS_IN_REGISTERS];                                                                                   \
        for (auto &sum : sums) {                                                                                       \
            sum = zero;                                                                                                \
            __asm__ volatile("" : "+w"(sum));                                                                          \
        }                                                                                                              \
        auto a = (factor), b = a;                                                                                      \
        for (; steps > 0; --steps) {                                                                                   \
            for (auto &sum : sums) {                                                                                   \
                __asm__ volatile("" : "+w"(a), "+w"(b));                                                               \
                sum = next;                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        for (auto &sum : sums) {                                                                                       \
            __asm__ volatile("" : : "w"(sum));                                                                         \
        }                                                                                                              \
    }

// clang does not allow vfmaq_f16() in a function with an attribute for it.
float16x8_t fused_half(float16x8_t sum, float16x8_t a, float16x8_t b) {
    __asm__(".arch_extension fp16\n\tfmla %0.8h, %1.8h, %2.8h" : "+w"(sum) : "w"(a), "w"(b));
    return sum;
}

// Versions of clang-format differ on such lines.
// clang-format off
DEFINE_LOOP(run_smull, , int32x4_t, vdupq_n_s32(0), vdupq_n_s8(1),
            vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b)))
DEFINE_LOOP(run_sdot, __attribute__((target("dotprod"))), int32x4_t, vdupq_n_s32(0), vdupq_n_s8(1),
            vdotq_s32(sum, a, b))
DEFINE_LOOP(run_smmla, __attribute__((target("i8mm"))), int32x4_t, vdupq_n_s32(0), vdupq_n_s8(1),
            vmmlaq_s32(sum, a, b))
DEFINE_LOOP(run_bfmmla, __attribute__((target("bf16"))), float32x4_t, vdupq_n_f32(0), vdupq_n_u16(0x3f80),
            vbfmmlaq_f32(sum, vreinterpretq_bf16_u16(a), vreinterpretq_bf16_u16(b)))
DEFINE_LOOP(run_fmla_half, , float16x8_t, vreinterpretq_f16_u16(vdupq_n_u16(0)), vreinterpretq_f16_u16(vdupq_n_u16(0x3c00)), fused_half(sum, a, b))
DEFINE_LOOP(run_fmla, , float32x4_t, vdupq_n_f32(0), vdupq_n_f32(1), vfmaq_f32(sum, a, b))
// clang-format on

#undef DEFINE_LOOP

// Of instructions that do so many multiplications with additions each.
constexpr double operations(int multiplications) {
    return 2.0 * multiplications * SUMS_IN_REGISTERS;
}

const Instructions ALL[] = {
    {"int8", "smmla", I8MM, 0, true, operations(32), run_smmla},
    {"int8", "sdot", DOTPROD, 0, true, operations(16), run_sdot},
    {"int8", "smull, smlal2, sadalp", 0, DOTPROD, true, operations(16), run_smull},
    {"bf16", "bfmmla", BF16, 0, false, operations(16), run_bfmmla},
    {"f16", "fmla v.8h", FP16, 0, true, operations(8), run_fmla_half},
    {"f32", "fmla v.4s", 0, 0, true, operations(4), run_fmla},
};

DEFINE_READER(read_128, , 16, 0)
DEFINE_READER(read_128_ahead, , 16, READ_UNIT)

} // namespace

// The variant with SVE is measured by instructions of fixed width: processors with wider registers than these have
// fewer units for them.
std::vector<Instructions> instructions_for(CpuFeatures variant, CpuFeatures processor) {
    const CpuFeatures features = variant | ((variant & I8MM) != 0 ? processor & BF16 : 0);
    std::vector<Instructions> found;
    std::copy_if(std::begin(ALL), std::end(ALL), std::back_inserter(found), [features](const Instructions &one) {
        return (one.needs & ~features) == 0 && (one.better & features) == 0;
    });
    return found;
}

std::vector<Reader> readers_for(CpuFeatures) {
    return {read_128, read_128_ahead};
}

#endif
