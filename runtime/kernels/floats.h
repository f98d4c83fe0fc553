// Products of weights that are numbers in floating point: a panel has twice as many rows.
#pragma once

#include "panel.h"

namespace {

constexpr int FLOAT_ROWS = 2 * Lanes::ROWS;
constexpr int STEP = 8; // values of a row that are converted at once

struct F32 {
    using Number = float;
    static Floats8 load(const float *from) { return load_8(from); }
    static float to_float(float number) { return number; }
#if defined(__AVX512F__)
    static __m512 load_wide(const float *from) { return _mm512_loadu_ps(from); }
#endif
};

struct F16 {
    using Number = ggml_half;
    static Floats8 load(const ggml_half *from) {
#if defined(__F16C__)
        return reinterpret_cast<Floats8>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
#else
        Floats8 floats;
        for (int i = 0; i < STEP; i++) {
            floats[i] = ::to_float(from[i]);
        }
        return floats;
#endif
    }
    static float to_float(ggml_half number) { return ::to_float(number); }
#if defined(__AVX512F__)
    static __m512 load_wide(const ggml_half *from) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
    }
#endif
};

struct BF16 {
    using Number = uint16_t;
    static Floats8 load(const uint16_t *from) {
        using Shorts = uint16_t __attribute__((vector_size(16)));
        using Words = uint32_t __attribute__((vector_size(32)));
        Shorts shorts;
        memcpy(&shorts, from, sizeof shorts);
        return reinterpret_cast<Floats8>(__builtin_convertvector(shorts, Words) << 16);
    }
#if defined(__AVX512F__)
    static __m512 load_wide(const uint16_t *from) {
        const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
        return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
    }
#endif
    static float to_float(uint16_t number) {
        const uint32_t bits = static_cast<uint32_t>(number) << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
};

// The values of STEP numbers, of which COUNT exist; the others are zero.
template <class Weights> Floats8 load_some(const typename Weights::Number *from, int count) {
    if (count >= STEP) {
        return Weights::load(from);
    }
    Floats8 floats = {};
    for (int i = 0; i < count; i++) {
        floats[i] = Weights::to_float(from[i]);
    }
    return floats;
}

// STEP values of each row of a panel.
struct FloatPanelBlock {
    float values[STEP][FLOAT_ROWS];
};

// The values of COUNT columns at one place.
template <int COUNT> struct FloatColumns {
    float values[COUNT];
};

// Fills PANEL with rows of SIZE numbers that begin at FROM, ROW_SIZE bytes apart. COUNT of them exist; the others are
// copies of the last. What is needed next lies AHEAD bytes behind these.
template <class Weights>
void fill_float_panel(FloatPanelBlock *panel, const char *from, size_t row_size, int count, int size, ptrdiff_t ahead) {
    const auto numbers_at = [&](int row, int start) {
        const char *numbers = from + (row < count ? row : count - 1) * row_size;
        return reinterpret_cast<const typename Weights::Number *>(numbers) + start;
    };
    int start = 0;
#if defined(__AVX512BW__)
    for (; start + WIDE_TRANSPOSED <= size; start += WIDE_TRANSPOSED, panel += WIDE_TRANSPOSED / STEP) {
        transpose_rows<FLOAT_ROWS>(panel, [&](int row) {
            const auto *numbers = numbers_at(row, start);
            prefetch(numbers, WIDE_TRANSPOSED * sizeof *numbers, ahead);
            return _mm512_castps_si512(Weights::load_wide(numbers));
        });
    }
#endif
    for (; start < size; start += STEP, panel++) {
        uint8_t bytes[FLOAT_ROWS][BLOCK];
        for (int row = 0; row < FLOAT_ROWS; row++) {
            store_8(bytes[row], load_some<Weights>(numbers_at(row, start), size - start));
        }
        for (int first = 0; first < FLOAT_ROWS; first += TRANSPOSED) {
            transpose<TRANSPOSED>(bytes + first, reinterpret_cast<uint8_t *>(panel->values[0] + first),
                                  sizeof panel->values[0]);
        }
    }
}

template <int COUNT>
void fill_float_columns(FloatColumns<COUNT> *columns, const float *const (&values)[COUNT], int size) {
    int i = 0;
    if constexpr (COUNT == TRANSPOSED) {
        for (; i + STEP <= size; i += STEP) {
            uint8_t bytes[COUNT][BLOCK];
            for (int column = 0; column < COUNT; column++) {
                memcpy(bytes[column], values[column] + i, BLOCK);
            }
            transpose<COUNT>(bytes, reinterpret_cast<uint8_t *>(columns + i), sizeof *columns);
        }
    }
    for (; i < size; i++) {
        for (int column = 0; column < COUNT; column++) {
            columns[i].values[column] = values[column][i];
        }
    }
}

// Lets ADD add products to the totals of COUNT columns, which are zero, or RESULTS if IS_SUM, and writes them there.
template <int COUNT, class Add> inline void add_to_results(float (*results)[FLOAT_ROWS], bool is_sum, Add &&add) {
    Lanes::Floats totals[COUNT][2];
    for (int column = 0; column < COUNT; column++) {
        totals[column][0] = is_sum ? Lanes::load(results[column]) : Lanes::zero();
        totals[column][1] = is_sum ? Lanes::load(results[column] + Lanes::ROWS) : Lanes::zero();
    }
    add(totals);
    for (int column = 0; column < COUNT; column++) {
        Lanes::store(results[column], totals[column][0]);
        Lanes::store(results[column] + Lanes::ROWS, totals[column][1]);
    }
}

template <int COUNT>
void multiply_float_tile(const FloatPanelBlock *panel, const FloatColumns<COUNT> *columns, int size, bool is_sum,
                         float (*results)[FLOAT_ROWS]) {
    add_to_results<COUNT>(results, is_sum, [&](Lanes::Floats(&totals)[COUNT][2]) {
        for (int i = 0; i < size; i++) {
            const float *row = panel[i / STEP].values[i % STEP];
            const Lanes::Floats first = Lanes::load(row), second = Lanes::load(row + Lanes::ROWS);
            for (int column = 0; column < COUNT; column++) {
                const Lanes::Floats value = Lanes::broadcast(columns[i].values[column]);
                totals[column][0] = Lanes::add_product(totals[column][0], first, value);
                totals[column][1] = Lanes::add_product(totals[column][1], second, value);
            }
        }
    });
}

// The totals of a row and COUNT columns, added up in several chains: an addition waits for the previous one.
template <int COUNT> struct FloatTotals {
#if defined(__AVX512F__)
    static constexpr int CHAINS = COUNT > 2 ? 2 : 4, LANES = 16;
    using Vector = __m512;
#else
    static constexpr int CHAINS = 4, LANES = 8;
    using Vector = Floats8;
#endif
    Vector lanes[COUNT][CHAINS] = {};

    template <class Weights> static Vector load(const typename Weights::Number *from) {
#if defined(__AVX512F__)
        return Weights::load_wide(from);
#else
        return Weights::load(from);
#endif
    }

    float of(int column) const {
        Floats8 total = {};
        for (const Vector &chain : lanes[column]) {
            for (int i = 0; i < LANES; i += 8) {
                total += load_8(reinterpret_cast<const float *>(&chain) + i);
            }
        }
        return sum_of(total);
    }
};

template <class Weights, int COUNT>
void multiply_float_row(const typename Weights::Number *row, const float *const (&columns)[COUNT], int size,
                        float *const (&results)[COUNT]) {
    using Totals = FloatTotals<COUNT>;
    constexpr int UNROLLED = 4;
    Totals totals;
    int i = 0;
    for (; i + UNROLLED * Totals::LANES <= size; i += UNROLLED * Totals::LANES) {
        prefetch(row + i, UNROLLED * Totals::LANES * sizeof *row);
#pragma clang loop unroll(full)
        for (int step = 0; step < UNROLLED; step++) {
            const int start = i + step * Totals::LANES;
            const auto weights = Totals::template load<Weights>(row + start);
            for (int column = 0; column < COUNT; column++) {
                auto &total = totals.lanes[column][step % Totals::CHAINS];
                total = weights * Totals::template load<F32>(columns[column] + start) + total;
            }
        }
    }
    Floats8 rest[COUNT] = {};
    for (; i < size; i += STEP) {
        const Floats8 weights = load_some<Weights>(row + i, size - i);
        for (int column = 0; column < COUNT; column++) {
            rest[column] += weights * load_some<F32>(columns[column] + i, size - i);
        }
    }
    for (int column = 0; column < COUNT; column++) {
        *results[column] = totals.of(column) + sum_of(rest[column]);
    }
}

} // namespace
