// Scores of cells as shares of their sum, of which the greatest score so far is known.
#pragma once

#include "cells.h"

#include <cmath>

namespace {

// Of numbers up to 0; with an error of a few units in the last place.
inline Floats8 exponential(Floats8 number) {
    constexpr float LEAST = -87, LOG2_E = 1.44269504F, SHIFT = 12582912;
    constexpr float LN2_HIGH = 0.693359375F, LN2_LOW = -2.12194440e-4F;
    const Floats8 limit = broadcast_8(LEAST), least = number < limit ? limit : number;
    // The sum has the power of two in its lowest bits.
    const Floats8 shifted = least * LOG2_E + SHIFT, power = shifted - SHIFT;
    const Floats8 rest = least - power * LN2_HIGH - power * LN2_LOW;
    Floats8 sum = broadcast_8(1.9875691500e-4F);
    constexpr float TERMS[] = {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 0.5F};
    for (const float term : TERMS) {
        sum = sum * rest + term;
    }
    sum = sum * (rest * rest) + rest + 1;
    const Floats8 result =
        reinterpret_cast<Floats8>(reinterpret_cast<Ints8>(sum) + (reinterpret_cast<Ints8>(shifted) << 23));
    return number < limit ? Floats8{} : result;
}

// How scores become larger or smaller before they are compared.
struct Scaling {
    float scale, cap; // a cap of 0 is none
    explicit Scaling(const ggml_tensor *op) {
        memcpy(&scale, op->op_params, sizeof scale);
        memcpy(&cap, op->op_params + 2, sizeof cap);
        scale = cap != 0 ? scale / cap : scale;
    }
};

// The mask of one query, of a head: scores of cells that it does not see are minus infinity.
struct Mask {
    const ggml_half *cells; // or null
    float slope;

    // Whether none of COUNT cells from FIRST is seen.
    bool hides(int64_t first, int count) const {
        constexpr ggml_half HIDDEN = 0xfc00; // minus infinity
        if (cells == nullptr || cells[first] != HIDDEN) {
            return false;
        }
        unsigned others = 0;
        for (int i = 0; i < count; i++) {
            others |= cells[first + i] ^ HIDDEN;
        }
        return others == 0;
    }
};

// What is known of the cells so far: their greatest score, and the sum of the exponentials of the differences from it.
struct Softmax {
    float greatest = -INFINITY, sum = 0;

    // Replaces the scores of COUNT cells, the first in MASK being FIRST, by exponentials; up to a multiple of STEP.
    // Returns the factor for what was added up before.
    float add(float *scores, int count, const Scaling &scaling, const Mask &mask, int64_t first) {
        Floats8 largest = broadcast_8(-INFINITY);
        for (int i = 0; i < count; i += STEP) {
            Floats8 score = load_8(scores + i) * scaling.scale;
            if (scaling.cap != 0) {
                for (int j = 0; j < STEP; j++) {
                    score[j] = scaling.cap * tanhf(score[j]);
                }
            }
            if (mask.cells != nullptr) {
                score += load_some<F16>(mask.cells + first + i, count - i) * mask.slope;
            }
            for (int j = count - i; j < STEP; j++) {
                score[j] = -INFINITY;
            }
            store_8(scores + i, score);
            largest = score > largest ? score : largest;
        }
        const float before = greatest;
        greatest = fmaxf(before, greatest_of(largest));
        if (greatest == -INFINITY) {
            memset(scores, 0, static_cast<size_t>(count + STEP - 1) / STEP * STEP * sizeof *scores);
            return 1;
        }
        Floats8 sums = {};
        for (int i = 0; i < count; i += STEP) {
            const Floats8 share = exponential(load_8(scores + i) - greatest);
            store_8(scores + i, share);
            sums += share;
        }
        const float factor = greatest > before ? expf(before - greatest) : 1;
        sum = sum * factor + sum_of(sums);
        return factor;
    }

    // Adds those of other cells; returns the factors for what was added up here, and there.
    void merge(const Softmax &other, float &factor, float &other_factor) {
        const float before = greatest;
        greatest = fmaxf(before, other.greatest);
        factor = before == greatest ? 1 : expf(before - greatest);
        other_factor = other.greatest == greatest ? 1 : expf(other.greatest - greatest);
        sum = sum * factor + other.sum * other_factor;
    }
};

} // namespace
