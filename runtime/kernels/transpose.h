// Words of rows, written as columns.
#pragma once

#include "lanes.h"

#include <cstddef>

namespace {

// Rows that transpose() takes at once, at most.
constexpr int TRANSPOSED = 8;

// Writes words of COUNT rows, 32 bytes each, as eight groups of a word of each row, STRIDE bytes apart.
template <int COUNT> void transpose(const uint8_t (*rows)[BLOCK], uint8_t *to, size_t stride) {
#if defined(__AVX2__)
    static_assert(COUNT == TRANSPOSED);
    __m256i in[8], a[8], b[8];
    for (int i = 0; i < 8; i++) {
        in[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(rows[i]));
    }
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_epi32(in[2 * i], in[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(in[2 * i], in[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        const __m256i first = _mm256_permute2x128_si256(b[i], b[4 + i], 0x20);
        const __m256i second = _mm256_permute2x128_si256(b[i], b[4 + i], 0x31);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + i * stride), first);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + (4 + i) * stride), second);
    }
#else
    for (int row = 0; row < COUNT; row++) {
        for (int group = 0; group < BLOCK / 4; group++) {
            memcpy(to + group * stride + row * 4, rows[row] + group * 4, 4);
        }
    }
#endif
}

#if defined(__AVX512BW__)
constexpr int WIDE_TRANSPOSED = 16;

// The same for words of 16 ROWS, 64 bytes each.
inline void transpose_wide(const __m512i (&rows)[WIDE_TRANSPOSED], uint8_t *to, size_t stride) {
    __m512i a[16], b[16];
    for (int i = 0; i < 8; i++) {
        a[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // Lane j of b[4 * i + k] has word 4 * j + k of rows 4 * i to 4 * i + 3.
    for (int i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    constexpr int EVEN = 0x88, ODD = 0xdd; // lanes of two registers
    for (int k = 0; k < 4; k++) {
        const __m512i first_even = _mm512_shuffle_i32x4(b[k], b[4 + k], EVEN);
        const __m512i first_odd = _mm512_shuffle_i32x4(b[k], b[4 + k], ODD);
        const __m512i last_even = _mm512_shuffle_i32x4(b[8 + k], b[12 + k], EVEN);
        const __m512i last_odd = _mm512_shuffle_i32x4(b[8 + k], b[12 + k], ODD);
        _mm512_storeu_si512(to + k * stride, _mm512_shuffle_i32x4(first_even, last_even, EVEN));
        _mm512_storeu_si512(to + (4 + k) * stride, _mm512_shuffle_i32x4(first_odd, last_odd, EVEN));
        _mm512_storeu_si512(to + (8 + k) * stride, _mm512_shuffle_i32x4(first_even, last_even, ODD));
        _mm512_storeu_si512(to + (12 + k) * stride, _mm512_shuffle_i32x4(first_odd, last_odd, ODD));
    }
}

// The same for COUNT rows, of which ROW returns one by its number. The groups follow each other in TO.
template <int COUNT, class Row> inline void transpose_rows(void *to, Row &&row) {
    static_assert(COUNT % WIDE_TRANSPOSED == 0);
    for (int first = 0; first < COUNT; first += WIDE_TRANSPOSED) {
        __m512i rows[WIDE_TRANSPOSED];
        for (int i = 0; i < WIDE_TRANSPOSED; i++) {
            rows[i] = row(first + i);
        }
        transpose_wide(rows, static_cast<uint8_t *>(to) + first * 4, COUNT * 4);
    }
}
#endif

} // namespace
