// The product of a panel and a group of columns.
#pragma once

#include "panel.h"

namespace {

// What a lane adds up for each of COUNT columns, of all vectors of a panel's rows.
template <class Lane, int COUNT> using Sums = Lane[COUNT][VECTORS];

// Adds to SUMS the products of GROUPS groups of four bytes. Where there is no dot product of four bytes, those of two
// are added in 16 bits as often as MAX, the largest weight, permits.
template <class Weights, int GROUPS, int COUNT, class Vector = Lanes>
inline void add_dots(Sums<typename Vector::Ints, COUNT> &sums, const uint8_t (*bytes)[ROWS][4], const int8_t *values) {
    if constexpr (Vector::HAS_DOT) {
        for (int group = 0; group < GROUPS; group++) {
            typename Vector::Ints weights[VECTORS];
            for (int vector = 0; vector < VECTORS; vector++) {
                weights[vector] = Vector::load_groups(bytes[group][vector * Vector::ROWS]);
            }
            for (int column = 0; column < COUNT; column++) {
                const typename Vector::Ints four =
                    Vector::broadcast(load_4(values + column * TOGETHER * BLOCK + group * 4));
                for (int vector = 0; vector < VECTORS; vector++) {
                    sums[column][vector] = Vector::add_dot(sums[column][vector], weights[vector], four);
                }
            }
        }
    } else {
        constexpr int LIMIT = 32767 / (Weights::MAX * 2 * 127), STEP = LIMIT > GROUPS ? GROUPS : LIMIT > 0 ? LIMIT : 1;
        for (int vector = 0; vector < VECTORS; vector++) {
            for (int first = 0; first < GROUPS; first += STEP) {
                typename Vector::Ints pairs[COUNT];
                for (int group = first; group < (first + STEP < GROUPS ? first + STEP : GROUPS); group++) {
                    const typename Vector::Ints weights = Vector::load_groups(bytes[group][vector * Vector::ROWS]);
                    for (int column = 0; column < COUNT; column++) {
                        const typename Vector::Ints four =
                            Vector::broadcast(load_4(values + column * TOGETHER * BLOCK + group * 4));
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
                    sums[column][vector] = Vector::add_pairs(sums[column][vector], pairs[column]);
                }
            }
        }
    }
}

// Adds to TOTALS the products of part PART: of a superblock there are as many as it has scales.
template <class Weights, int COUNT>
inline void add_products(Sums<Lanes::Floats, COUNT> &totals, const PanelBlock<Weights> &weights,
                         const ColumnBlock<Weights, COUNT> &columns, int part) {
    constexpr int SCALES = Weights::SCALES, GROUPS = BLOCK / 4 / SCALES;
    const int start = part % SCALES * GROUPS;
    Sums<Lanes::Ints, COUNT> sums;
    for (int column = 0; column < COUNT; column++) {
        for (int vector = 0; vector < VECTORS; vector++) {
            if constexpr (OFFSET<Weights> != 0) {
                sums[column][vector] = Lanes::broadcast(columns.offsets[column][part]);
            } else {
                sums[column][vector] = Lanes::broadcast(0);
            }
        }
    }
    add_dots<Weights, GROUPS, COUNT>(sums, weights.bytes[part / SCALES] + start,
                                     columns.part(part / SCALES, 0) + start * 4);
    for (int vector = 0; vector < VECTORS; vector++) {
        const Lanes::Floats scales = Lanes::load(weights.scales[part] + vector * Lanes::ROWS);
        for (int column = 0; column < COUNT; column++) {
            Lanes::Floats factors = scales;
            if constexpr (!HAS_ONE_SCALE<Weights>) {
                factors = Lanes::multiply(scales, Lanes::broadcast(columns.scales[column][part / SCALES]));
            }
            Lanes::Floats &total = totals[column][vector];
            total = Lanes::add_product(total, Lanes::convert(sums[column][vector]), factors);
        }
        if constexpr (Weights::HAS_MINIMUM) {
            const Lanes::Floats minimums = Lanes::load(weights.minimums[part] + vector * Lanes::ROWS);
            for (int column = 0; column < COUNT; column++) {
                const Lanes::Floats sum = Lanes::broadcast(columns.sums[column][part]);
                totals[column][vector] = Lanes::add_product(totals[column][vector], minimums, sum);
            }
        }
    }
}

// Calls CALL with each place in a tile of COUNT columns: column, vector, and where its result belongs.
template <int COUNT, class Call> inline void for_each_result(float (*results)[ROWS], Call &&call) {
    for (int column = 0; column < COUNT; column++) {
        for (int vector = 0; vector < VECTORS; vector++) {
            call(column, vector, results[column] + vector * Lanes::ROWS);
        }
    }
}

// Writes the products of PANEL and COLUMNS, of SIZE values each, to RESULTS, one column after the other; if IS_SUM,
// adds them. The columns that are needed next begin AHEAD bytes behind these.
template <class Weights, int COUNT>
void multiply_tile(const PanelBlock<Weights> *panel, const ColumnBlock<Weights, COUNT> *columns, int size, bool is_sum,
                   size_t ahead, float (*results)[ROWS]) {
    constexpr int SCALES = Weights::SCALES;
    if (!is_sum) {
        memset(results, 0, COUNT * sizeof *results);
    }
    Sums<Lanes::Floats, COUNT> totals;
    for_each_result<COUNT>(results, [&](int column, int vector, const float *result) {
        totals[column][vector] = HAS_ONE_SCALE<Weights> ? Lanes::zero() : Lanes::load(result);
    });
    for (int block = 0; block * PARTS * BLOCK < size; block++, columns++, panel++) {
        const int parts = HAS_ONE_SCALE<Weights> ? PARTS * SCALES : parts_of(size, block) * SCALES;
        for (int part = 0; part < parts; part++) {
            prefetch(columns, sizeof *columns, ahead, part, PARTS * SCALES);
            add_products(totals, *panel, *columns, part);
        }
        if constexpr (HAS_ONE_SCALE<Weights>) {
            for_each_result<COUNT>(results, [&](int column, int vector, float *result) {
                const Lanes::Floats factor = Lanes::broadcast(columns->scales[column][0]);
                Lanes::store(result, Lanes::add_product(Lanes::load(result), totals[column][vector], factor));
                totals[column][vector] = Lanes::zero();
            });
        }
    }
    if constexpr (!HAS_ONE_SCALE<Weights>) {
        for_each_result<COUNT>(
            results, [&](int column, int vector, float *result) { Lanes::store(result, totals[column][vector]); });
    }
}

} // namespace
