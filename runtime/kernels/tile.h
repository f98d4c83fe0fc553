// The product of a panel and a group of columns.
#pragma once

#include "panel.h"

namespace {

// Adds to SUMS, of COUNT columns, the products of GROUPS groups of four bytes. Where there is no dot product of four
// bytes, those of two are added in 16 bits as often as MAX, the largest weight, permits.
template <class Weights, int GROUPS, int COUNT, class Vector = Lanes>
inline void add_dots(typename Vector::Ints (&sums)[COUNT], const uint8_t (*bytes)[ROWS][4], const int8_t *values) {
    if constexpr (Vector::HAS_DOT) {
        for (int group = 0; group < GROUPS; group++) {
            const typename Vector::Ints weights = Vector::load_groups(bytes[group][0]);
            for (int column = 0; column < COUNT; column++) {
                sums[column] = Vector::add_dot(sums[column], weights, values + column * BLOCK + group * 4);
            }
        }
    } else {
        constexpr int LIMIT = 32767 / (Weights::MAX * 2 * 127), STEP = LIMIT > GROUPS ? GROUPS : LIMIT > 0 ? LIMIT : 1;
        for (int first = 0; first < GROUPS; first += STEP) {
            typename Vector::Ints pairs[COUNT];
            for (int group = first; group < (first + STEP < GROUPS ? first + STEP : GROUPS); group++) {
                const typename Vector::Ints weights = Vector::load_groups(bytes[group][0]);
                for (int column = 0; column < COUNT; column++) {
                    const int8_t *four = values + column * BLOCK + group * 4;
                    typename Vector::Ints products;
                    if constexpr (IS_SIGNED<Weights>) {
                        products = Vector::signed_pairs(weights, four);
                    } else {
                        products = Vector::pairs(weights, four);
                    }
                    pairs[column] = group == first ? products : Vector::add_16(pairs[column], products);
                }
            }
            for (int column = 0; column < COUNT; column++) {
                sums[column] = Vector::add_pairs(sums[column], pairs[column]);
            }
        }
    }
}

// Writes the products of PANEL and COLUMNS, of SIZE values each, to RESULTS, one column after the other; if IS_SUM,
// adds them. The columns that are needed next begin AHEAD bytes behind these.
template <class Weights, int COUNT>
void multiply_tile(const PanelBlock<Weights> *panel, const ColumnBlock<Weights, COUNT> *columns, int size, bool is_sum,
                   size_t ahead, float (*results)[ROWS]) {
    Lanes::Floats totals[COUNT];
    for (int column = 0; column < COUNT; column++) {
        totals[column] = is_sum ? Lanes::load(results[column]) : Lanes::zero();
    }
    constexpr int SCALES = Weights::SCALES, GROUPS = BLOCK / 4 / SCALES;
    for (int block = 0; block * PARTS * BLOCK < size; block++, columns++) {
        const int parts = parts_of(size, block) * SCALES;
        for (int part = 0; part < parts; part++) {
            const PanelBlock<Weights> &weights = panel[part / SCALES];
            constexpr size_t LINES = sizeof *columns / LINE / (PARTS * SCALES);
            for (size_t line = part * LINES; line < (part + 1) * LINES; line++) {
                __builtin_prefetch(reinterpret_cast<const char *>(columns) + ahead + line * LINE);
            }
            const int half = part % SCALES;
            Lanes::Ints sums[COUNT];
            for (int column = 0; column < COUNT; column++) {
                if constexpr (OFFSET<Weights> != 0) {
                    sums[column] = Lanes::broadcast(columns->offsets[column][part]);
                } else {
                    sums[column] = Lanes::broadcast(0);
                }
            }
            add_dots<Weights, GROUPS, COUNT>(sums, weights.bytes + half * GROUPS,
                                             columns->values[part / SCALES][0] + half * GROUPS * 4);
            const Lanes::Floats scales = Lanes::load(weights.scales[half]);
            for (int column = 0; column < COUNT; column++) {
                const float factor = columns->scales[column][part / SCALES];
                totals[column] = Lanes::add_product(totals[column], Lanes::convert(sums[column]),
                                                    Lanes::multiply(scales, Lanes::broadcast(factor)));
            }
            if constexpr (Weights::HAS_MINIMUM) {
                const Lanes::Floats minimums = Lanes::load(weights.minimums[half]);
                for (int column = 0; column < COUNT; column++) {
                    const Lanes::Floats sum = Lanes::broadcast(columns->sums[column][part]);
                    totals[column] = Lanes::add_product(totals[column], minimums, sum);
                }
            }
        }
        panel += PARTS;
    }
    for (int column = 0; column < COUNT; column++) {
        Lanes::store(results[column], totals[column]);
    }
}

} // namespace
