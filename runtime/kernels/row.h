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

    float of(int column) const {
        Floats8 total = minimums[column];
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
        for (size_t line = 0; line < STEP * sizeof *blocks; line += 64) {
            __builtin_prefetch(reinterpret_cast<const char *>(blocks) + PREFETCH_DISTANCE + line);
        }
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
