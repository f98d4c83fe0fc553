// How each type stores its weights: what a kernel needs of a block.
#pragma once

#include "lanes.h"

#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml.h"

#include <cstddef>

namespace {

constexpr int PARTS = 8; // of a superblock: each is a block

using Eight = uint8_t __attribute__((vector_size(8)));
using Half = uint8_t __attribute__((vector_size(16), aligned(1)));

inline float to_float(ggml_half half) {
#if defined(__F16C__)
    // Not _cvtsh_ss(): LLVM inserts the half into any register at hand (vpinsrw), and waits for what is there.
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
#elif defined(__aarch64__)
    __fp16 value;
    memcpy(&value, &half, sizeof value);
    return value;
#else
    return ggml_fp16_to_fp32(half);
#endif
}

// The scales of COUNT blocks, at most eight, at offset AT of each.
template <class Block> void to_floats(const Block *blocks, int count, size_t at, float *to) {
    const auto half = [blocks, at](int i) {
        ggml_half value;
        memcpy(&value, reinterpret_cast<const char *>(blocks + i) + at, sizeof value);
        return value;
    };
#if defined(__F16C__)
    if (count == PARTS) {
        const __m128i halves = _mm_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5), half(6), half(7));
        _mm256_storeu_ps(to, _mm256_cvtph_ps(halves));
        return;
    }
#endif
    for (int i = 0; i < count; i++) {
        to[i] = to_float(half(i));
    }
}

inline Bytes load_bytes(const void *from) {
    Bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

inline void store_bytes(uint8_t *to, Bytes bytes) {
    memcpy(to, &bytes, sizeof bytes);
}

// 32 weights of 16 bytes: first the lower halves of all, then the upper ones.
inline Bytes nibbles(const uint8_t *from) {
    Half half;
    memcpy(&half, from, sizeof half);
    const Half low = half & 15, high = half >> 4;
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                                   21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}

#if defined(__AVX512BW__)
// 32 bytes, twice.
inline __m512i load_twice(const void *from) {
    return _mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i *>(from)));
}

// The bits of MASK from bit FIRST on of the first 32 bytes, and from bit SECOND on of the others.
inline __m512i bits_from(__m512i bytes, int first, int second, int mask) {
    const __m512i counts = _mm512_inserti64x4(_mm512_set1_epi16(static_cast<int16_t>(first)),
                                              _mm256_set1_epi16(static_cast<int16_t>(second)), 1);
    return _mm512_and_si512(_mm512_srlv_epi16(bytes, counts), _mm512_set1_epi8(static_cast<int8_t>(mask)));
}
#endif

// BIT where the bit of the same number is set in FROM, which has 32 of them.
inline Bytes bits(const uint8_t *from, uint8_t bit) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    const auto mask = static_cast<__mmask32>(load_4(from));
    return reinterpret_cast<Bytes>(_mm256_maskz_set1_epi8(mask, static_cast<char>(bit)));
#else
    const Bytes place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128,
                         1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const Eight four = {from[0], from[1], from[2], from[3], 0, 0, 0, 0};
    const Bytes spread = __builtin_shufflevector(four, four, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2,
                                                 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    return reinterpret_cast<Bytes>((spread & place) == place) & bit;
#endif
}

// The entries of a table of 16.
inline Bytes look_up(const int8_t *table, Bytes indices) {
#if defined(__AVX2__)
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(table)));
    return reinterpret_cast<Bytes>(_mm256_shuffle_epi8(entries, reinterpret_cast<__m256i>(indices)));
#else
    Half halves[2];
    memcpy(halves, &indices, sizeof halves);
    for (Half &half : halves) {
#if defined(__SSSE3__)
        const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i *>(table));
        const __m128i found = _mm_shuffle_epi8(entries, reinterpret_cast<__m128i>(half));
#else
        const int8x16_t found = vqtbl1q_s8(vld1q_s8(table), reinterpret_cast<uint8x16_t>(half));
#endif
        memcpy(&half, &found, sizeof half);
    }
    return load_bytes(halves);
#endif
}

// The scales and minimums of Q4_K and Q5_K: eight of each, of six bits in FROM, a byte of each here.
struct SixBits {
    uint64_t scales, minimums;

    explicit SixBits(const uint8_t *from) {
        uint64_t low;
        uint32_t high;
        memcpy(&low, from, sizeof low);
        memcpy(&high, from + sizeof low, sizeof high);
        // Four scales and four minimums, of which the upper two bits belong to others; then four bits of each of these.
        const uint32_t first = low, second = low >> 32;
        const uint32_t third = (high & 0x0f0f0f0f) | (first >> 2 & 0x30303030);
        const uint32_t fourth = (high >> 4 & 0x0f0f0f0f) | (second >> 2 & 0x30303030);
        scales = (first & 0x3f3f3f3f) | static_cast<uint64_t>(third) << 32;
        minimums = (second & 0x3f3f3f3f) | static_cast<uint64_t>(fourth) << 32;
    }

    static Floats8 floats(uint64_t bytes) {
        Eight eight;
        memcpy(&eight, &bytes, sizeof eight);
        return __builtin_convertvector(eight, Floats8);
    }
};

inline void unpack_6_bits(const uint8_t *from, Floats8 scale, Floats8 minimum, float *scales, float *minimums) {
    const SixBits all(from);
    store_8(scales, SixBits::floats(all.scales) * scale);
    store_8(minimums, SixBits::floats(all.minimums) * -minimum);
}

// Whether rows are multiplied with scales as integers, see IntegerFactors.
template <class Weights>
constexpr bool HAS_INTEGER_FACTORS = requires(const typename Weights::Block *block) { Weights::factors(block); };

#if defined(__AVX512VNNI__)
// The scales of a superblock as integers, times SCALE: 16 bits in each lane, the upper 16 being zero. Its minimums are
// floats. What one lane adds up in a dot product fits into 16 bits, so that its product with a scale is one
// instruction.
struct IntegerFactors {
    __m512i scales;
    __m512 minimums;
    float scale;
};

inline IntegerFactors integer_factors(const uint8_t *from, float scale, float minimum) {
    const SixBits all(from);
    const auto widen = [](uint64_t bytes) {
        return _mm512_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
    };
    return {widen(all.scales), _mm512_mul_ps(_mm512_cvtepi32_ps(widen(all.minimums)), _mm512_set1_ps(-minimum)), scale};
}
#endif

// Of each type: SIZE weights are a block as stored; SCALES are those of 32 weights; a weight is
// scale * (byte - OFFSET) + minimum, where a byte is at most MAX, or, if it IS_SIGNED, between -MAX and MAX. Functions
// get the first block of a superblock of 256 weights; its last parts may be missing. HAS_FAST_ROWS: a product with one
// column is at least as fast as the engine's.
struct Q8_0 {
    using Block = block_q8_0;
    static constexpr int SIZE = 32, SCALES = 1, OFFSET = 0, MAX = 128;
    static constexpr bool HAS_MINIMUM = false, IS_SIGNED = true, HAS_FAST_ROWS = true;
    static Bytes bytes(const Block *blocks, int part) { return load_bytes(blocks[part].qs); }
    static void scales(const Block *blocks, int count, float *scales, float *) {
        to_floats(blocks, count, offsetof(Block, d), scales);
    }
};

struct Q4_0 {
    using Block = block_q4_0;
    static constexpr int SIZE = 32, SCALES = 1, OFFSET = 8, MAX = 15;
    static constexpr bool HAS_MINIMUM = false, IS_SIGNED = false, HAS_FAST_ROWS = true;
    static Bytes bytes(const Block *blocks, int part) { return nibbles(blocks[part].qs); }
    static void scales(const Block *blocks, int count, float *scales, float *) {
        to_floats(blocks, count, offsetof(Block, d), scales);
    }
};

struct Q4_1 {
    using Block = block_q4_1;
    static constexpr int SIZE = 32, SCALES = 1, OFFSET = 0, MAX = 15;
    static constexpr bool HAS_MINIMUM = true, IS_SIGNED = false, HAS_FAST_ROWS = true;
    static Bytes bytes(const Block *blocks, int part) { return nibbles(blocks[part].qs); }
    static void scales(const Block *blocks, int count, float *scales, float *minimums) {
        to_floats(blocks, count, offsetof(Block, d), scales);
        to_floats(blocks, count, offsetof(Block, m), minimums);
    }
};

struct Q5_0 {
    using Block = block_q5_0;
    static constexpr int SIZE = 32, SCALES = 1, OFFSET = 16, MAX = 31;
    static constexpr bool HAS_MINIMUM = false, IS_SIGNED = false, HAS_FAST_ROWS = HAS_WIDE_ROWS;
    static Bytes bytes(const Block *blocks, int part) { return nibbles(blocks[part].qs) | bits(blocks[part].qh, 16); }
    static void scales(const Block *blocks, int count, float *scales, float *) {
        to_floats(blocks, count, offsetof(Block, d), scales);
    }
};

struct Q5_1 {
    using Block = block_q5_1;
    static constexpr int SIZE = 32, SCALES = 1, OFFSET = 0, MAX = 31;
    static constexpr bool HAS_MINIMUM = true, IS_SIGNED = false, HAS_FAST_ROWS = HAS_WIDE_ROWS;
    static Bytes bytes(const Block *blocks, int part) { return nibbles(blocks[part].qs) | bits(blocks[part].qh, 16); }
    static void scales(const Block *blocks, int count, float *scales, float *minimums) {
        to_floats(blocks, count, offsetof(Block, d), scales);
        to_floats(blocks, count, offsetof(Block, m), minimums);
    }
};

struct Q4_K {
    using Block = block_q4_K;
    static constexpr int SIZE = 256, SCALES = 1, OFFSET = 0, MAX = 15;
    static constexpr bool HAS_MINIMUM = true, IS_SIGNED = false, HAS_FAST_ROWS = HAS_WIDE_ROWS;
    static Bytes bytes(const Block *block, int part) {
        const Bytes both = load_bytes(block->qs + part / 2 * 32);
        return part % 2 ? both >> 4 : both & 15;
    }
#if defined(__AVX512BW__)
    static __m512i two_parts(const Block *block, int part) {
        return bits_from(load_twice(block->qs + part / 2 * 32), 0, 4, 15);
    }
#endif
    static void scales(const Block *block, int, float *scales, float *minimums) {
        unpack_6_bits(block->scales, broadcast_8(to_float(block->d)), broadcast_8(to_float(block->dmin)), scales,
                      minimums);
    }
#if defined(__AVX512VNNI__)
    static IntegerFactors factors(const Block *block) {
        return integer_factors(block->scales, to_float(block->d), to_float(block->dmin));
    }
#endif
};

struct Q5_K {
    using Block = block_q5_K;
    static constexpr int SIZE = 256, SCALES = 1, OFFSET = 0, MAX = 31;
    static constexpr bool HAS_MINIMUM = true, IS_SIGNED = false, HAS_FAST_ROWS = HAS_WIDE_ROWS;
    static Bytes bytes(const Block *block, int part) {
        const Bytes both = load_bytes(block->qs + part / 2 * 32);
        const Bytes fifth = load_bytes(block->qh) >> part & 1;
        return (part % 2 ? both >> 4 : both & 15) | fifth << 4;
    }
#if defined(__AVX512BW__)
    static __m512i two_parts(const Block *block, int part) {
        const __m512i low = bits_from(load_twice(block->qs + part / 2 * 32), 0, 4, 15);
        return _mm512_or_si512(low, _mm512_slli_epi16(bits_from(load_twice(block->qh), part, part + 1, 1), 4));
    }
#endif
    static void scales(const Block *block, int, float *scales, float *minimums) {
        unpack_6_bits(block->scales, broadcast_8(to_float(block->d)), broadcast_8(to_float(block->dmin)), scales,
                      minimums);
    }
#if defined(__AVX512VNNI__)
    static IntegerFactors factors(const Block *block) {
        return integer_factors(block->scales, to_float(block->d), to_float(block->dmin));
    }
#endif
};

struct Q6_K {
    using Block = block_q6_K;
    static constexpr int SIZE = 256, SCALES = 2, OFFSET = 32, MAX = 63;
    static constexpr bool HAS_MINIMUM = false, IS_SIGNED = false, HAS_FAST_ROWS = HAS_WIDE_ROWS;
    static Bytes bytes(const Block *block, int part) {
        const int half = part / 4, quarter = part % 4;
        const Bytes both = load_bytes(block->ql + half * 64 + quarter % 2 * 32);
        const Bytes upper = load_bytes(block->qh + half * 32) >> 2 * quarter & 3;
        return (quarter / 2 ? both >> 4 : both & 15) | upper << 4;
    }
#if defined(__AVX512BW__)
    static __m512i two_parts(const Block *block, int part) {
        const int half = part / 4, shift = part % 4 * 2;
        const __m512i low = bits_from(_mm512_loadu_si512(block->ql + half * 64), shift, shift, 15);
        const __m512i upper = bits_from(load_twice(block->qh + half * 32), shift, shift + 2, 3);
        return _mm512_or_si512(low, _mm512_slli_epi16(upper, 4));
    }
#endif
    static void scales(const Block *block, int, float *scales, float *) {
        using Sixteen = int8_t __attribute__((vector_size(16)));
        using Floats16 = float __attribute__((vector_size(64)));
        Sixteen factors;
        memcpy(&factors, block->scales, sizeof factors);
        const Floats16 floats = __builtin_convertvector(factors, Floats16) * to_float(block->d);
        memcpy(scales, &floats, sizeof floats);
    }
#if defined(__AVX512VNNI__)
    static IntegerFactors factors(const Block *block) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(block->scales));
        const __m512i scales = _mm512_cvtepi8_epi32(bytes);
        const float scale = to_float(block->d);
        return {_mm512_and_si512(scales, _mm512_set1_epi32(0xffff)),
                _mm512_mul_ps(_mm512_cvtepi32_ps(scales), _mm512_set1_ps(-OFFSET * scale)), scale};
    }
#endif
};

// The values of the four-bit types that have tables.
alignas(16) const int8_t IQ4_VALUES[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct IQ4_NL {
    using Block = block_iq4_nl;
    static constexpr int SIZE = 32, SCALES = 1, OFFSET = 0, MAX = 127;
    static constexpr bool HAS_MINIMUM = false, IS_SIGNED = true, HAS_FAST_ROWS = HAS_WIDE_ROWS;
    static Bytes bytes(const Block *blocks, int part) { return look_up(IQ4_VALUES, nibbles(blocks[part].qs)); }
    static void scales(const Block *blocks, int count, float *scales, float *) {
        to_floats(blocks, count, offsetof(Block, d), scales);
    }
};

struct IQ4_XS {
    using Block = block_iq4_xs;
    static constexpr int SIZE = 256, SCALES = 1, OFFSET = 0, MAX = 127;
    static constexpr bool HAS_MINIMUM = false, IS_SIGNED = true, HAS_FAST_ROWS = false;
    static Bytes bytes(const Block *block, int part) { return look_up(IQ4_VALUES, nibbles(block->qs + part * 16)); }
    static void scales(const Block *block, int, float *scales, float *) {
        const float scale = to_float(block->d);
        for (int part = 0; part < 8; part++) {
            const int low = block->scales_l[part / 2] >> part % 2 * 4 & 15, high = block->scales_h >> part * 2 & 3;
            scales[part] = scale * ((low | high << 4) - 32);
        }
    }
};

} // namespace
