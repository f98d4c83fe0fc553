// The product of one row of weights, as stored, and a few columns.
#pragma once

#include "panel.h"

namespace {

// The totals of a row and COUNT columns. Parts alternate between CHAINS of them: an addition waits for the previous
// one.
template <int COUNT> struct RowTotals {
    static constexpr int CHAINS = COUNT > 1 ? 2 : 4;
    Floats8 products[COUNT][CHAINS] = {};
    Floats8 minimums[COUNT] = {};
#if defined(__AVX512VNNI__)
    __m512 wide[2] = {}; // of a single column: both halves of a register belong to it
#endif

    float of(int column) const {
        Floats8 total = minimums[column];
#if defined(__AVX512VNNI__)
        if constexpr (COUNT == 1) {
            Floats8 halves[2];
            _mm512_storeu_ps(halves, _mm512_add_ps(wide[0], wide[1]));
            total += halves[0] + halves[1];
        }
#endif
        for (int chain = 0; chain < CHAINS; chain++) {
            total += products[column][chain];
        }
        return sum_of(total);
    }
};

// Adds the products of one part of a superblock.
template <class Weights, int COUNT>
inline void add_part(const typename Weights::Block *blocks, const ColumnBlock<Weights, COUNT> &columns,
                     const float (&factors)[COUNT][PARTS * Weights::SCALES], int part, int chain,
                     RowTotals<COUNT> &totals) {
    constexpr int SCALES = Weights::SCALES;
    const Bytes bytes = for_panel<Weights>(Weights::bytes(blocks, part));
    for (int column = 0; column < COUNT; column++) {
        const Ints8 sums = dot_8<IS_SIGNED<Weights>>(Ints8{}, bytes, columns.values[part][column]);
        const float a = factors[column][part * SCALES], b = factors[column][part * SCALES + SCALES - 1];
        Floats8 &total = totals.products[column][chain];
        total = __builtin_convertvector(sums, Floats8) * Floats8{a, a, a, a, b, b, b, b} + total;
    }
}

#if defined(__AVX512VNNI__)
// Adds the products of a superblock, two parts at once.
template <class Weights>
inline void add_wide(const typename Weights::Block *blocks, const ColumnBlock<Weights, 1> &columns,
                     const float (&factors)[PARTS * Weights::SCALES], RowTotals<1> &totals) {
    constexpr int SCALES = Weights::SCALES, LANES = 8 / SCALES; // of a register for one factor
    __m512 all;
    if constexpr (SCALES == 1) {
        all = _mm512_castps256_ps512(_mm256_loadu_ps(factors));
    } else {
        all = _mm512_loadu_ps(factors);
    }
#pragma clang loop unroll(full)
    for (int part = 0; part < PARTS; part += 2) {
        const Bytes first = for_panel<Weights>(Weights::bytes(blocks, part));
        const Bytes second = for_panel<Weights>(Weights::bytes(blocks, part + 1));
        const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(reinterpret_cast<__m256i>(first)),
                                                reinterpret_cast<__m256i>(second), 1);
        const __m512i values = _mm512_loadu_si512(columns.values[part]);
        const __m512 sums = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), both, values));
        alignas(64) int32_t places[16];
        for (int lane = 0; lane < 16; lane++) {
            places[lane] = part * SCALES + lane / LANES;
        }
        const __m512 each = _mm512_permutexvar_ps(_mm512_load_si512(places), all);
        totals.wide[part / 2 % 2] = _mm512_fmadd_ps(sums, each, totals.wide[part / 2 % 2]);
    }
}
#endif

// Adds the products of the first COUNTED parts of a superblock.
template <class Weights, int COUNT>
inline void add_superblock(const typename Weights::Block *blocks, const ColumnBlock<Weights, COUNT> &columns,
                           int counted, RowTotals<COUNT> &totals) {
    constexpr int SCALES = Weights::SCALES;
    float scales[PARTS * SCALES] = {}, minimums[PARTS * SCALES] = {}, factors[COUNT][PARTS * SCALES];
    Weights::scales(blocks, counted, scales, minimums);
    for (int column = 0; column < COUNT; column++) {
        for (int i = 0; i < PARTS * SCALES; i++) {
            factors[column][i] = scales[i] * columns.scales[column][i / SCALES];
        }
        // What the offset of the weights adds, or their minimum.
        for (int i = 0; i < SCALES; i++) {
            const Floats8 sums = load_8(columns.sums[column] + 8 * i);
            if constexpr (Weights::HAS_MINIMUM) {
                totals.minimums[column] += load_8(minimums + 8 * i) * sums;
            } else if constexpr (OFFSET<Weights> != 0) {
                totals.minimums[column] -= load_8(scales + 8 * i) * (sums * OFFSET<Weights>);
            }
        }
    }
#if defined(__AVX512VNNI__)
    if constexpr (COUNT == 1) {
        if (counted == PARTS) {
            add_wide<Weights>(blocks, columns, factors[0], totals);
            return;
        }
    }
#endif
    if (counted == PARTS) {
#pragma clang loop unroll(full)
        for (int part = 0; part < PARTS; part++) {
            add_part(blocks, columns, factors, part, part % RowTotals<COUNT>::CHAINS, totals);
        }
    } else {
        for (int part = 0; part < counted; part++) {
            add_part(blocks, columns, factors, part, 0, totals);
        }
    }
}

template <class Weights, int COUNT>
void multiply_row(const typename Weights::Block *blocks, const ColumnBlock<Weights, COUNT> *columns, int size,
                  float *const (&results)[COUNT]) {
    constexpr int STEP = PARTS * BLOCK / Weights::SIZE;
    RowTotals<COUNT> totals;
    int left = size / BLOCK;
    for (; left >= PARTS; left -= PARTS, blocks += STEP, columns++) {
        prefetch(blocks, STEP * sizeof *blocks);
        add_superblock(blocks, *columns, PARTS, totals);
    }
    if (left > 0) {
        add_superblock(blocks, *columns, left, totals);
    }
    for (int column = 0; column < COUNT; column++) {
        *results[column] = totals.of(column);
    }
}

} // namespace
