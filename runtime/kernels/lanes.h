// Vectors of the processor that this copy is compiled for: one lane for each row of a panel. A panel of bytes has
// VECTORS of them, and is multiplied with COLUMNS at once: as many as leave room for their totals in the registers.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

constexpr int BLOCK = 32; // weights that a kernel multiplies at once

inline int32_t load_4(const void *from) {
    int32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

#if defined(__AVX512F__) && defined(__AVX512BW__)

struct Lanes {
    static constexpr int ROWS = 16, FLOAT_COLUMNS = 8;
    using Floats = __m512;
    using Ints = __m512i;

    static Floats zero() { return _mm512_setzero_ps(); }
    static Floats load(const float *from) { return _mm512_loadu_ps(from); }
    static void store(float *to, Floats value) { _mm512_storeu_ps(to, value); }
    static Floats broadcast(float value) { return _mm512_set1_ps(value); }
    static Ints broadcast(int32_t value) { return _mm512_set1_epi32(value); }
    static Floats convert(Ints value) { return _mm512_cvtepi32_ps(value); }
    static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return _mm512_fmadd_ps(a, b, sum); }
    static Ints load_groups(const uint8_t *from) { return _mm512_loadu_si512(from); }
#if defined(__AVX512VNNI__)
    static constexpr int VECTORS = 3, COLUMNS = 4;
    static constexpr bool HAS_DOT = true, IS_SIGNED = false;
    static Ints add_dot(Ints sum, Ints weights, Ints values) { return _mm512_dpbusd_epi32(sum, weights, values); }
#else
    static constexpr int VECTORS = 1, COLUMNS = 8;
    static constexpr bool HAS_DOT = false, IS_SIGNED = true;
    static Ints pairs(Ints weights, Ints values) { return _mm512_maddubs_epi16(weights, values); }
    static Ints signed_pairs(Ints weights, Ints values) {
        const __mmask64 negative = _mm512_movepi8_mask(weights);
        return _mm512_maddubs_epi16(_mm512_abs_epi8(weights),
                                    _mm512_mask_sub_epi8(values, negative, _mm512_setzero_si512(), values));
    }
    static Ints add_16(Ints a, Ints b) { return _mm512_add_epi16(a, b); }
    static Ints add_pairs(Ints sum, Ints pairs) {
        return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    }
#endif
};

#elif defined(__AVX2__)

struct Lanes {
    static constexpr int ROWS = 8, VECTORS = 1, COLUMNS = 4, FLOAT_COLUMNS = 4;
    using Floats = __m256;
    using Ints = __m256i;

    static Floats zero() { return _mm256_setzero_ps(); }
    static Floats load(const float *from) { return _mm256_loadu_ps(from); }
    static void store(float *to, Floats value) { _mm256_storeu_ps(to, value); }
    static Floats broadcast(float value) { return _mm256_set1_ps(value); }
    static Ints broadcast(int32_t value) { return _mm256_set1_epi32(value); }
    static Floats convert(Ints value) { return _mm256_cvtepi32_ps(value); }
    static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return _mm256_fmadd_ps(a, b, sum); }
    static Ints load_groups(const uint8_t *from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)); }
#if defined(__AVXVNNI__)
    static constexpr bool HAS_DOT = true, IS_SIGNED = false;
    static Ints add_dot(Ints sum, Ints weights, Ints values) { return _mm256_dpbusd_avx_epi32(sum, weights, values); }
#else
    static constexpr bool HAS_DOT = false, IS_SIGNED = true;
    static Ints pairs(Ints weights, Ints values) { return _mm256_maddubs_epi16(weights, values); }
    static Ints signed_pairs(Ints weights, Ints values) {
        return _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(values, weights));
    }
    static Ints add_16(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
    static Ints add_pairs(Ints sum, Ints pairs) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
#endif
};

#elif defined(__SSSE3__)

struct Lanes {
    static constexpr int ROWS = 4, VECTORS = 1, COLUMNS = 4, FLOAT_COLUMNS = 4;
    using Floats = __m128;
    using Ints = __m128i;

    static Floats zero() { return _mm_setzero_ps(); }
    static Floats load(const float *from) { return _mm_loadu_ps(from); }
    static void store(float *to, Floats value) { _mm_storeu_ps(to, value); }
    static Floats broadcast(float value) { return _mm_set1_ps(value); }
    static Ints broadcast(int32_t value) { return _mm_set1_epi32(value); }
    static Floats convert(Ints value) { return _mm_cvtepi32_ps(value); }
    static Floats multiply(Floats a, Floats b) { return _mm_mul_ps(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return _mm_add_ps(_mm_mul_ps(a, b), sum); }
    static Ints load_groups(const uint8_t *from) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(from)); }
    static constexpr bool HAS_DOT = false, IS_SIGNED = true;
    static Ints pairs(Ints weights, Ints values) { return _mm_maddubs_epi16(weights, values); }
    static Ints signed_pairs(Ints weights, Ints values) {
        return _mm_maddubs_epi16(_mm_abs_epi8(weights), _mm_sign_epi8(values, weights));
    }
    static Ints add_16(Ints a, Ints b) { return _mm_add_epi16(a, b); }
    static Ints add_pairs(Ints sum, Ints pairs) { return _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1))); }
};

#elif defined(__ARM_FEATURE_DOTPROD)

struct Lanes {
    static constexpr int ROWS = 4, VECTORS = 1, COLUMNS = 8, FLOAT_COLUMNS = 8;
    using Floats = float32x4_t;
    using Ints = int32x4_t;

    static Floats zero() { return vdupq_n_f32(0); }
    static Floats load(const float *from) { return vld1q_f32(from); }
    static void store(float *to, Floats value) { vst1q_f32(to, value); }
    static Floats broadcast(float value) { return vdupq_n_f32(value); }
    static Ints broadcast(int32_t value) { return vdupq_n_s32(value); }
    static Floats convert(Ints value) { return vcvtq_f32_s32(value); }
    static Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return vfmaq_f32(sum, a, b); }
    static Ints load_groups(const uint8_t *from) { return vreinterpretq_s32_u8(vld1q_u8(from)); }
    static constexpr bool HAS_DOT = true, IS_SIGNED = true;
    static Ints add_dot(Ints sum, Ints weights, Ints values) {
        return vdotq_s32(sum, vreinterpretq_s8_s32(weights), vreinterpretq_s8_s32(values));
    }
};

#endif

// Whether registers have two blocks of a row.
#if defined(__AVX512VNNI__)
constexpr bool HAS_WIDE_ROWS = true;
#else
constexpr bool HAS_WIDE_ROWS = false;
#endif

// Eight lanes, for products of single rows.
using Ints8 = int32_t __attribute__((vector_size(32)));
using Floats8 = float __attribute__((vector_size(32)));
using Bytes = uint8_t __attribute__((vector_size(32), aligned(1)));

inline Floats8 broadcast_8(float value) {
    return Floats8{value, value, value, value, value, value, value, value};
}

inline Floats8 load_8(const void *from) {
    Floats8 floats;
    memcpy(&floats, from, sizeof floats);
    return floats;
}

inline void store_8(void *to, Floats8 floats) {
    memcpy(to, &floats, sizeof floats);
}

inline float sum_of(Floats8 lanes) {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// Lane i is the sum of the products of the bytes 4 * i to 4 * i + 3. Where Lanes::IS_SIGNED, WEIGHTS may be signed.
template <bool IS_SIGNED> Ints8 dot_8(Ints8 sum, Bytes weights, const int8_t *values) {
#if defined(__AVX2__)
    const __m256i first = reinterpret_cast<__m256i>(weights), start = reinterpret_cast<__m256i>(sum);
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(values));
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return reinterpret_cast<Ints8>(_mm256_dpbusd_epi32(start, first, second));
#elif defined(__AVXVNNI__)
    return reinterpret_cast<Ints8>(_mm256_dpbusd_avx_epi32(start, first, second));
#else
    const __m256i pairs = IS_SIGNED ? _mm256_maddubs_epi16(_mm256_abs_epi8(first), _mm256_sign_epi8(second, first))
                                    : _mm256_maddubs_epi16(first, second);
    return reinterpret_cast<Ints8>(_mm256_add_epi32(start, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
#endif
#elif defined(__SSSE3__)
    Ints8 result = sum;
    for (int half = 0; half < 2; half++) {
        __m128i first, second, total;
        memcpy(&first, reinterpret_cast<const char *>(&weights) + 16 * half, 16);
        memcpy(&total, reinterpret_cast<const char *>(&sum) + 16 * half, 16);
        memcpy(&second, values + 16 * half, 16);
        const __m128i pairs = IS_SIGNED ? _mm_maddubs_epi16(_mm_abs_epi8(first), _mm_sign_epi8(second, first))
                                        : _mm_maddubs_epi16(first, second);
        total = _mm_add_epi32(total, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
        memcpy(reinterpret_cast<char *>(&result) + 16 * half, &total, 16);
    }
    return result;
#elif defined(__ARM_FEATURE_DOTPROD)
    int8x16x2_t bytes;
    int32x4x2_t sums;
    memcpy(&bytes, &weights, sizeof bytes);
    memcpy(&sums, &sum, sizeof sums);
    sums.val[0] = vdotq_s32(sums.val[0], bytes.val[0], vld1q_s8(values));
    sums.val[1] = vdotq_s32(sums.val[1], bytes.val[1], vld1q_s8(values + 16));
    Ints8 result;
    memcpy(&result, &sums, sizeof result);
    return result;
#endif
}

} // namespace
