// Products of bfloat16 weights, where the processor multiplies pairs of them: activations are rounded to bfloat16, too.
#pragma once

#include "floats.h"

#if defined(__AVX512BF16__)

#include <cpuid.h>

namespace {

// Whether pairs are multiplied at a higher rate than single numbers. On Intel's server cores it is half of that, as
// llamafile-bench --roofline shows.
inline bool has_fast_brains() {
    static const bool is_fast = [] {
        unsigned highest, vendor[3];
        return __get_cpuid(0, &highest, &vendor[0], &vendor[2], &vendor[1]) != 0 &&
               memcmp(vendor, "AuthenticAMD", 12) == 0;
    }();
    return is_fast;
}

constexpr int BRAINS = 16; // numbers of a row in 32 bytes
constexpr int PAIRS = BRAINS / 2;

// BRAINS numbers of each row of a panel, in pairs.
struct BrainPanelBlock {
    uint32_t pairs[PAIRS][FLOAT_ROWS];
};

// The same numbers of COUNT columns.
template <int COUNT> struct BrainColumns {
    uint32_t pairs[COUNT][PAIRS];
};

static_assert(sizeof(BrainPanelBlock) == BRAINS * FLOAT_ROWS * sizeof(uint16_t));
static_assert(sizeof(BrainColumns<1>) == BLOCK);

// As fill_float_panel().
inline void fill_brain_panel(BrainPanelBlock *panel, const char *from, size_t row_size, int count, int size,
                             ptrdiff_t ahead) {
    const auto numbers_at = [&](int row, int start) {
        return from + (row < count ? row : count - 1) * row_size + start * sizeof(uint16_t);
    };
    int start = 0;
    for (; start + 2 * BRAINS <= size; start += 2 * BRAINS, panel += 2) {
        transpose_rows<FLOAT_ROWS>(panel, [&](int row) {
            const char *numbers = numbers_at(row, start);
            prefetch(numbers, sizeof(__m512i), ahead);
            return _mm512_loadu_si512(numbers);
        });
    }
    for (; start < size; start += BRAINS, panel++) {
        const int some = size - start < BRAINS ? size - start : BRAINS;
        uint8_t bytes[FLOAT_ROWS][BLOCK] = {};
        for (int row = 0; row < FLOAT_ROWS; row++) {
            memcpy(bytes[row], numbers_at(row, start), some * sizeof(uint16_t));
        }
        for (int first = 0; first < FLOAT_ROWS; first += TRANSPOSED) {
            transpose<TRANSPOSED>(bytes + first, reinterpret_cast<uint8_t *>(panel->pairs[0] + first),
                                  sizeof panel->pairs[0]);
        }
    }
}

template <int COUNT>
void fill_brain_columns(BrainColumns<COUNT> *columns, const float *const (&values)[COUNT], int size) {
    for (int start = 0; start < size; start += BRAINS, columns++) {
        const __mmask16 some = size - start < BRAINS ? (1U << (size - start)) - 1 : 0xffff;
        for (int column = 0; column < COUNT; column++) {
            const __m256bh brains = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, values[column] + start));
            memcpy(columns->pairs[column], &brains, sizeof brains);
        }
    }
}

template <int COUNT>
void multiply_brain_tile(const BrainPanelBlock *panel, const BrainColumns<COUNT> *columns, int size, bool is_sum,
                         float (*results)[FLOAT_ROWS]) {
    add_to_results<COUNT>(results, is_sum, [&](__m512(&totals)[COUNT][2]) {
        for (int start = 0; start < size; start += BRAINS, panel++, columns++) {
            for (int pair = 0; pair < PAIRS; pair++) {
                const auto first = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel->pairs[pair]));
                const auto second = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel->pairs[pair] + Lanes::ROWS));
                for (int column = 0; column < COUNT; column++) {
                    const auto value = reinterpret_cast<__m512bh>(
                        _mm512_set1_epi32(static_cast<int32_t>(columns->pairs[column][pair])));
                    totals[column][0] = _mm512_dpbf16_ps(totals[column][0], first, value);
                    totals[column][1] = _mm512_dpbf16_ps(totals[column][1], second, value);
                }
            }
        }
    });
}

} // namespace

#endif
