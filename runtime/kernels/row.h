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
    __m512 wide[COUNT][2] = {};
#endif

    float of(int column) const {
        Floats8 total = minimums[column];
#if defined(__AVX512VNNI__)
        Floats8 halves[2];
        _mm512_storeu_ps(halves, _mm512_add_ps(wide[column][0], wide[column][1]));
        total += halves[0] + halves[1];
#endif
        for (int chain = 0; chain < CHAINS; chain++) {
            total += products[column][chain];
        }
        return sum_of(total);
    }
};

// The scales and minimums of a superblock.
template <class Weights> struct RowFactors {
    static constexpr int COUNT = PARTS * Weights::SCALES;
    alignas(LINE) float scales[COUNT] = {}, minimums[COUNT] = {};
    RowFactors(const typename Weights::Block *blocks, int parts) { Weights::scales(blocks, parts, scales, minimums); }
};

// What the offset of the weights adds, or their minimum.
template <class Weights, int COUNT>
inline void add_minimums(const RowFactors<Weights> &factors, const ColumnBlock<Weights, COUNT> &columns,
                         RowTotals<COUNT> &totals) {
    for (int column = 0; column < COUNT; column++) {
        Floats8 total = {};
        for (int i = 0; i < RowFactors<Weights>::COUNT; i += 8) {
            const Floats8 sums = load_8(columns.sums[column] + i);
            if constexpr (Weights::HAS_MINIMUM) {
                total += load_8(factors.minimums + i) * sums;
            } else if constexpr (OFFSET<Weights> != 0) {
                total -= load_8(factors.scales + i) * (sums * OFFSET<Weights>);
            }
        }
        totals.minimums[column] += HAS_ONE_SCALE<Weights> ? total * columns.scales[column][0] : total;
    }
}

// Adds the products of part PART of a superblock.
template <class Weights, int COUNT>
inline void add_part(const typename Weights::Block *blocks, const RowFactors<Weights> &factors,
                     const ColumnBlock<Weights, COUNT> &columns, int part, int chain, RowTotals<COUNT> &totals) {
    const Bytes bytes = for_panel<Weights>(Weights::bytes(blocks, part));
    for (int column = 0; column < COUNT; column++) {
        const Ints8 sums = dot_8<IS_SIGNED<Weights>>(Ints8{}, bytes, columns.part(part, column));
        const float scale = columns.scales[column][HAS_ONE_SCALE<Weights> ? 0 : part];
        const float *scales = factors.scales + part * Weights::SCALES;
        const float a = scales[0] * scale, b = scales[Weights::SCALES - 1] * scale;
        Floats8 &total = totals.products[column][chain];
        total = __builtin_convertvector(sums, Floats8) * Floats8{a, a, a, a, b, b, b, b} + total;
    }
}

#if defined(__AVX512VNNI__)
// Lane i is the number of the scale that belongs to lane i of the products of PART and PART + 1.
template <class Weights> inline __m512i places_of_scales(int part) {
    alignas(LINE) int32_t places[16];
    for (int lane = 0; lane < 16; lane++) {
        places[lane] = part * Weights::SCALES + lane * Weights::SCALES / 8;
    }
    return _mm512_load_si512(places);
}

// Adds the products of a superblock, two parts at once.
template <class Weights, int COUNT>
inline void add_wide(const typename Weights::Block *blocks, const RowFactors<Weights> &factors,
                     const ColumnBlock<Weights, COUNT> &columns, RowTotals<COUNT> &totals) {
    __m512 scales[COUNT];
    for (int column = 0; column < COUNT; column++) {
        const __m256 own = HAS_ONE_SCALE<Weights> ? _mm256_set1_ps(columns.scales[column][0])
                                                  : _mm256_loadu_ps(columns.scales[column]);
        scales[column] = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_load_ps(factors.scales), own));
    }
#pragma clang loop unroll(full)
    for (int part = 0; part < PARTS; part += 2) {
        const __m512i both = two_parts<Weights>(blocks, part);
        for (int column = 0; column < COUNT; column++) {
            const __m512i values = _mm512_loadu_si512(columns.part(part, column));
            const __m512 sums = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), both, values));
            const __m512 each = _mm512_permutexvar_ps(places_of_scales<Weights>(part), scales[column]);
            __m512 &total = totals.wide[column][part / 2 % 2];
            total = _mm512_fmadd_ps(sums, each, total);
        }
    }
}

// The same for weights whose scales are integers.
template <class Weights, int COUNT>
inline void add_integers(const typename Weights::Block *block, const ColumnBlock<Weights, COUNT> &columns,
                         RowTotals<COUNT> &totals) {
    static_assert(Weights::MAX * 127 * 4 <= INT16_MAX);
    constexpr __mmask16 HAS_SUM = (1U << PARTS * Weights::SCALES) - 1;
    const IntegerFactors factors = Weights::factors(block);
    __m512i sums[COUNT] = {};
#pragma clang loop unroll(full)
    for (int part = 0; part < PARTS; part += 2) {
        const __m512i both = two_parts<Weights>(block, part);
        const __m512i scales = _mm512_permutexvar_epi32(places_of_scales<Weights>(part), factors.scales);
        for (int column = 0; column < COUNT; column++) {
            const __m512i values = _mm512_loadu_si512(columns.part(part, column));
            const __m512i products = _mm512_dpbusd_epi32(_mm512_setzero_si512(), both, values);
            sums[column] = _mm512_dpwssd_epi32(sums[column], products, scales);
        }
    }
    for (int column = 0; column < COUNT; column++) {
        const __m512 products = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[column]), _mm512_set1_ps(factors.scale));
        const __m512 all =
            _mm512_fmadd_ps(factors.minimums, _mm512_maskz_loadu_ps(HAS_SUM, columns.sums[column]), products);
        totals.wide[column][0] =
            _mm512_fmadd_ps(all, _mm512_set1_ps(columns.scales[column][0]), totals.wide[column][0]);
    }
}
#endif

// Adds the products of the first COUNTED parts of a superblock.
template <class Weights, int COUNT>
inline void add_superblock(const typename Weights::Block *blocks, const ColumnBlock<Weights, COUNT> &columns,
                           int counted, RowTotals<COUNT> &totals) {
    const RowFactors<Weights> factors(blocks, counted);
    add_minimums(factors, columns, totals);
    if (counted != PARTS) {
        for (int part = 0; part < counted; part++) {
            add_part(blocks, factors, columns, part, 0, totals);
        }
        return;
    }
#if defined(__AVX512VNNI__)
    add_wide(blocks, factors, columns, totals);
#else
#pragma clang loop unroll(full)
    for (int part = 0; part < PARTS; part++) {
        add_part(blocks, factors, columns, part, part % RowTotals<COUNT>::CHAINS, totals);
    }
#endif
}

template <class Weights, int COUNT>
void multiply_row(const typename Weights::Block *blocks, const ColumnBlock<Weights, COUNT> *columns, int size,
                  float *const (&results)[COUNT]) {
    constexpr int STEP = PARTS * BLOCK / Weights::SIZE;
    RowTotals<COUNT> totals;
    int left = size / BLOCK;
    for (; left >= PARTS; left -= PARTS, blocks += STEP, columns++) {
        prefetch(blocks, SUPERBLOCK<Weights>);
        if constexpr (HAS_INTEGER_FACTORS<Weights>) {
            add_integers(blocks, *columns, totals);
        } else {
            add_superblock(blocks, *columns, PARTS, totals);
        }
    }
    if (left > 0) {
        add_superblock(blocks, *columns, left, totals);
    }
    for (int column = 0; column < COUNT; column++) {
        *results[column] = totals.of(column);
    }
}

} // namespace
