// Weights of a few rows, and activations of a few columns, in the order in which a kernel reads them.
#pragma once

#include "weights.h"

namespace {

constexpr int ROWS = Lanes::ROWS, COLUMNS = Lanes::COLUMNS, NARROW = COLUMNS / 2;
constexpr size_t LINE = 64; // bytes of a cache line
// Bytes: what one core must have asked for, so that memory is always busy; processors' own requests end with each page.
constexpr int PREFETCH_DISTANCE = 8192;

// Asks for what lies PREFETCH_DISTANCE behind the SIZE bytes at FROM.
inline void prefetch(const void *from, size_t size) {
    for (size_t line = 0; line < size; line += LINE) {
        __builtin_prefetch(static_cast<const char *>(from) + PREFETCH_DISTANCE + line);
    }
}

constexpr size_t aligned(size_t size) {
    return (size + LINE - 1) / LINE * LINE;
}

// Whether bytes are signed in a panel. A dot product of unsigned bytes is the faster one on x86; where it is made of
// 16-bit sums, weights of eight bits would overflow them.
template <class Weights> constexpr bool IS_SIGNED = Weights::IS_SIGNED && Lanes::IS_SIGNED;
template <class Weights> constexpr int OFFSET = Weights::OFFSET + (Weights::IS_SIGNED && !Lanes::IS_SIGNED ? 128 : 0);

// 32 weights of each row.
template <class Weights> struct PanelBlock {
    uint8_t bytes[BLOCK / 4][ROWS][4];
    float scales[Weights::SCALES][ROWS];
    float minimums[Weights::HAS_MINIMUM ? Weights::SCALES : 0][ROWS];
};

// A superblock of each of COUNT columns: values of eight bits, with a scale for each part.
template <class Weights, int COUNT> struct ColumnBlock {
    static constexpr int SCALES = Weights::SCALES;
    int8_t values[PARTS][COUNT][BLOCK];
    float scales[COUNT][PARTS];
    float sums[COUNT][PARTS * SCALES];                            // scale * sum of values
    int32_t offsets[COUNT][OFFSET<Weights> ? PARTS * SCALES : 0]; // -OFFSET * sum of values
};

// Weights as they are in a panel.
template <class Weights> Bytes for_panel(Bytes bytes) {
    return Weights::IS_SIGNED && !Lanes::IS_SIGNED ? bytes ^ 128 : bytes;
}

inline int parts_of(int size, int block) {
    const int left = size / BLOCK - block * PARTS;
    return left < PARTS ? left : PARTS;
}

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

// Fills PANEL with rows of SIZE weights that begin at FROM, ROW_SIZE bytes apart. COUNT of them exist; the others are
// copies of the last.
template <class Weights>
void fill_panel(PanelBlock<Weights> *panel, const char *from, size_t row_size, int count, int size) {
    using Block = typename Weights::Block;
    const Block *rows[ROWS];
    for (int row = 0; row < ROWS; row++) {
        rows[row] = reinterpret_cast<const Block *>(from + (row < count ? row : count - 1) * row_size);
    }
    for (int block = 0; block * PARTS * BLOCK < size; block++, panel += PARTS) {
        const int parts = parts_of(size, block);
        for (int row = 0; row < ROWS; row++) {
            float scales[PARTS * Weights::SCALES], minimums[PARTS * Weights::SCALES];
            Weights::scales(rows[row], parts, scales, minimums);
            for (int i = 0; i < parts * Weights::SCALES; i++) {
                panel[i / Weights::SCALES].scales[i % Weights::SCALES][row] = scales[i];
                if constexpr (Weights::HAS_MINIMUM) {
                    panel[i / Weights::SCALES].minimums[i % Weights::SCALES][row] = minimums[i];
                }
            }
        }
        for (int part = 0; part < parts; part++) {
            uint8_t bytes[ROWS][BLOCK];
            for (int row = 0; row < ROWS; row++) {
                store_bytes(bytes[row], for_panel<Weights>(Weights::bytes(rows[row], part)));
            }
            constexpr int COUNT = ROWS < TRANSPOSED ? ROWS : TRANSPOSED;
            for (int first = 0; first < ROWS; first += COUNT) {
                transpose<COUNT>(bytes + first, panel[part].bytes[0][first], sizeof panel->bytes[0]);
            }
        }
        for (const Block *&row : rows) {
            row += PARTS * BLOCK / Weights::SIZE;
        }
    }
}

inline float greatest_of(Floats8 lanes) {
    const auto greater = [&](Floats8 others) { lanes = others > lanes ? others : lanes; };
    greater(__builtin_shufflevector(lanes, lanes, 4, 5, 6, 7, 0, 1, 2, 3));
    greater(__builtin_shufflevector(lanes, lanes, 2, 3, 0, 1, 6, 7, 4, 5));
    greater(__builtin_shufflevector(lanes, lanes, 1, 0, 3, 2, 5, 4, 7, 6));
    return lanes[0];
}

// Writes VALUES * INVERSE as bytes, rounded to the nearest integers, and returns these.
inline Floats8 quantize_8(Floats8 values, float inverse, int8_t *to) {
#pragma clang fp contract(off)
    // The sum has the integer in its lowest bits. Not by a fused operation: all processors quantize alike.
    using Chars = int8_t __attribute__((vector_size(8)));
    const Floats8 shift = broadcast_8(12582912.0F), shifted = values * inverse + shift;
    const Chars bytes = __builtin_convertvector(reinterpret_cast<Ints8>(shifted), Chars);
    memcpy(to, &bytes, sizeof bytes);
    return shifted - shift;
}

// Quantizes SIZE values to bytes, 32 with one scale, as column COLUMN of BLOCKS.
template <class Weights, int COUNT>
void fill_column(ColumnBlock<Weights, COUNT> *blocks, int column, const float *values, int size) {
    // Parts that are missing from the last superblock have no sums.
    ColumnBlock<Weights, COUNT> &last = blocks[(size / BLOCK - 1) / PARTS];
    memset(last.scales[column], 0, sizeof last.scales[column]);
    memset(last.sums[column], 0, sizeof last.sums[column]);
    for (int number = 0; number < size / BLOCK; number++, values += BLOCK) {
        ColumnBlock<Weights, COUNT> &to = blocks[number / PARTS];
        const int part = number % PARTS;
        Floats8 parts[BLOCK / 8], largest = {};
        for (int i = 0; i < BLOCK / 8; i++) {
            parts[i] = load_8(values + i * 8);
            const Floats8 size = parts[i] < 0 ? -parts[i] : parts[i];
            largest = size > largest ? size : largest;
        }
        const float greatest = greatest_of(largest);
        const float scale = greatest / 127, inverse = greatest > 0 ? 127 / greatest : 0;
        for (int i = 0; i < BLOCK / 8; i++) {
            parts[i] = quantize_8(parts[i], inverse, to.values[part][column] + i * 8);
        }
        to.scales[column][part] = scale;
        constexpr int EACH = BLOCK / 8 / Weights::SCALES;
        for (int i = 0; i < Weights::SCALES; i++) {
            Floats8 sums = parts[i * EACH];
            for (int j = 1; j < EACH; j++) {
                sums += parts[i * EACH + j];
            }
            const float sum = sum_of(sums);
            to.sums[column][part * Weights::SCALES + i] = scale * sum;
            if constexpr (OFFSET<Weights> != 0) {
                to.offsets[column][part * Weights::SCALES + i] = -OFFSET<Weights> * static_cast<int32_t>(sum);
            }
        }
    }
}

} // namespace
