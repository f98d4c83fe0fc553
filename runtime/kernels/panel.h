// Weights of a few rows, and activations of a few columns, in the order in which a kernel reads them.
#pragma once

#include "transpose.h"
#include "weights.h"

#include <numeric>

namespace {

constexpr int VECTORS = Lanes::VECTORS; // of a row of a panel
constexpr int ROWS = VECTORS * Lanes::ROWS;
constexpr size_t LINE = 64; // bytes of a cache line
// Bytes: what one core must have asked for, so that memory is always busy; processors' own requests end with each page.
constexpr int PREFETCH_DISTANCE = 8192;

// Asks for what lies AHEAD bytes behind the SIZE bytes at FROM: for share NUMBER of COUNT. Many requests at once would
// have to wait for each other.
inline void prefetch(const void *from, size_t size, ptrdiff_t ahead = PREFETCH_DISTANCE, int number = 0,
                     int count = 1) {
    for (size_t line = number * LINE; line < size; line += count * LINE) {
        __builtin_prefetch(static_cast<const char *>(from) + ahead + line);
    }
}

constexpr size_t aligned(size_t size) {
    return (size + LINE - 1) / LINE * LINE;
}

// Whether bytes are signed in a panel. A dot product of unsigned bytes is the faster one on x86; where it is made of
// 16-bit sums, weights of eight bits would overflow them.
template <class Weights> constexpr bool IS_SIGNED = Weights::IS_SIGNED && Lanes::IS_SIGNED;
template <class Weights> constexpr int OFFSET = Weights::OFFSET + (Weights::IS_SIGNED && !Lanes::IS_SIGNED ? 128 : 0);

// A superblock of each row.
template <class Weights> struct PanelBlock {
    static constexpr int SCALES = PARTS * Weights::SCALES;
    uint8_t bytes[PARTS][BLOCK / 4][ROWS][4];
    float scales[SCALES][ROWS];
    float minimums[Weights::HAS_MINIMUM ? SCALES : 0][ROWS];
};

// Whether values have one scale for as many as weights have in a block, as the engine's have, or for each part.
template <class Weights> constexpr bool HAS_ONE_SCALE = Weights::SIZE == PARTS * BLOCK;

// Parts of a column that are next to each other: as many as a register of a row has.
constexpr int TOGETHER = HAS_WIDE_ROWS ? 2 : 1;

// A superblock of each of COUNT columns: values of eight bits.
template <class Weights, int COUNT> struct ColumnBlock {
    static constexpr int SCALES = Weights::SCALES;
    int8_t values[PARTS / TOGETHER][COUNT][TOGETHER][BLOCK];
    float scales[COUNT][HAS_ONE_SCALE<Weights> ? 1 : PARTS];
    float sums[COUNT][PARTS * SCALES]; // of values; times the scale of their part, if it has one
    int32_t offsets[COUNT][OFFSET<Weights> ? PARTS * SCALES : 0]; // -OFFSET * sum of values

    const int8_t *part(int number, int column) const { return values[number / TOGETHER][column][number % TOGETHER]; }
};

// Weights as they are in a panel.
template <class Weights> Bytes for_panel(Bytes bytes) {
    return Weights::IS_SIGNED && !Lanes::IS_SIGNED ? bytes ^ 128 : bytes;
}

#if defined(__AVX512BW__)
// Parts PART and PART + 1 of a superblock, as they are in a panel.
template <class Weights> __m512i two_parts(const typename Weights::Block *blocks, int part) {
    if constexpr (requires { Weights::two_parts(blocks, part); }) {
        return Weights::two_parts(blocks, part);
    } else {
        const Bytes first = for_panel<Weights>(Weights::bytes(blocks, part));
        const Bytes second = for_panel<Weights>(Weights::bytes(blocks, part + 1));
        return _mm512_inserti64x4(_mm512_castsi256_si512(reinterpret_cast<__m256i>(first)),
                                  reinterpret_cast<__m256i>(second), 1);
    }
}
#endif

// Bytes of a superblock of a row.
template <class Weights> constexpr size_t SUPERBLOCK = PARTS * BLOCK / Weights::SIZE * sizeof(typename Weights::Block);

// Bytes of the cache lines in which a superblock lies, at most: it begins at any multiple of what divides both.
template <class Weights>
constexpr size_t LINES_OF_SUPERBLOCK = aligned(SUPERBLOCK<Weights> + LINE - std::gcd(SUPERBLOCK<Weights>, LINE));

constexpr int superblocks_of(int size) {
    return (size + PARTS * BLOCK - 1) / (PARTS * BLOCK);
}

inline int parts_of(int size, int block) {
    const int left = size / BLOCK - block * PARTS;
    return left < PARTS ? left : PARTS;
}

// Fills the factors of a superblock of which PARTS exist.
template <class Weights>
void fill_factors(PanelBlock<Weights> &panel, const typename Weights::Block *const (&rows)[ROWS], int parts) {
    constexpr int SCALES = Weights::SCALES, COUNT = ROWS < TRANSPOSED ? ROWS : TRANSPOSED;
    static_assert(PARTS * sizeof(float) == BLOCK);
    for (int first = 0; first < ROWS; first += COUNT) {
        uint8_t scales[SCALES][COUNT][BLOCK], minimums[SCALES][COUNT][BLOCK];
        for (int row = 0; row < COUNT; row++) {
            float factors[SCALES][PARTS] = {}, others[SCALES][PARTS] = {};
            Weights::scales(rows[first + row], parts, factors[0], others[0]);
            for (int i = 0; i < SCALES; i++) {
                memcpy(scales[i][row], factors[i], BLOCK);
                memcpy(minimums[i][row], others[i], BLOCK);
            }
        }
        for (int i = 0; i < SCALES; i++) {
            const auto write = [&](const uint8_t (*from)[BLOCK], float (*to)[ROWS]) {
                transpose<COUNT>(from, reinterpret_cast<uint8_t *>(to[i * PARTS] + first), sizeof *to);
            };
            write(scales[i], panel.scales);
            if constexpr (Weights::HAS_MINIMUM) {
                write(minimums[i], panel.minimums);
            }
        }
    }
}

// Fills the bytes of a superblock of which PARTS exist.
template <class Weights>
void fill_bytes(PanelBlock<Weights> &panel, const typename Weights::Block *const (&rows)[ROWS], int parts,
                ptrdiff_t ahead) {
    constexpr int COUNT = ROWS < TRANSPOSED ? ROWS : TRANSPOSED;
    for (int part = 0; part < parts; part++) {
        for (int first = 0; first < ROWS; first += COUNT) {
            uint8_t bytes[COUNT][BLOCK];
            for (int row = 0; row < COUNT; row++) {
                store_bytes(bytes[row], for_panel<Weights>(Weights::bytes(rows[first + row], part)));
                prefetch(rows[first + row], LINES_OF_SUPERBLOCK<Weights>, ahead, part, PARTS);
            }
            transpose<COUNT>(bytes, panel.bytes[part][0][first], sizeof panel.bytes[part][0]);
        }
    }
}

#if defined(__AVX512BW__)
// The same for all parts of a superblock, by two at once.
template <class Weights>
void fill_wide(PanelBlock<Weights> &panel, const typename Weights::Block *const (&rows)[ROWS], ptrdiff_t ahead) {
#pragma clang loop unroll(full)
    for (int part = 0; part < PARTS; part += 2) {
        transpose_rows<ROWS>(panel.bytes[part], [&](int row) {
            prefetch(rows[row], LINES_OF_SUPERBLOCK<Weights>, ahead, part / 2, PARTS / 2);
            return two_parts<Weights>(rows[row], part);
        });
    }
}
#endif

// Fills PANEL with rows of SIZE weights that begin at FROM, ROW_SIZE bytes apart. COUNT of them exist; the others are
// copies of the last. What is needed next lies AHEAD bytes behind these.
template <class Weights>
void fill_panel(PanelBlock<Weights> *panel, const char *from, size_t row_size, int count, int size, ptrdiff_t ahead) {
    using Block = typename Weights::Block;
    constexpr int STEP = PARTS * BLOCK / Weights::SIZE;
    const Block *rows[ROWS];
    for (int row = 0; row < ROWS; row++) {
        rows[row] = reinterpret_cast<const Block *>(from + (row < count ? row : count - 1) * row_size);
    }
    for (int block = 0; block * PARTS * BLOCK < size; block++, panel++) {
        const int parts = parts_of(size, block);
        fill_factors(*panel, rows, parts);
#if defined(__AVX512BW__)
        if (parts == PARTS) {
            fill_wide(*panel, rows, ahead);
        } else {
            fill_bytes(*panel, rows, parts, ahead);
        }
#else
        fill_bytes(*panel, rows, parts, ahead);
#endif
        for (const Block *&row : rows) {
            row += STEP;
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

inline float greatest_size_of(const float *values, int size) {
    Floats8 largest = {};
    for (int i = 0; i < size; i += 8) {
        const Floats8 some = load_8(values + i), sizes = some < 0 ? -some : some;
        largest = sizes > largest ? sizes : largest;
    }
    return greatest_of(largest);
}

// Quantizes 32 VALUES as part PART of column COLUMN, where GREATEST becomes 127.
template <class Weights, int COUNT>
void fill_part(ColumnBlock<Weights, COUNT> &to, int column, int part, const float *values, float greatest) {
    constexpr int SCALES = Weights::SCALES, EACH = BLOCK / 8 / SCALES;
    const float inverse = greatest > 0 ? 127 / greatest : 0, scale = HAS_ONE_SCALE<Weights> ? 1 : greatest / 127;
    int8_t *bytes = to.values[part / TOGETHER][column][part % TOGETHER];
    for (int i = 0; i < SCALES; i++) {
        Floats8 sums = {};
        for (int j = i * EACH; j < (i + 1) * EACH; j++) {
            sums += quantize_8(load_8(values + j * 8), inverse, bytes + j * 8);
        }
        const float sum = sum_of(sums);
        to.sums[column][part * SCALES + i] = scale * sum;
        if constexpr (OFFSET<Weights> != 0) {
            to.offsets[column][part * SCALES + i] = -OFFSET<Weights> * static_cast<int32_t>(sum);
        }
    }
}

// Quantizes SIZE values to bytes as column COLUMN of BLOCKS.
template <class Weights, int COUNT>
void fill_column(ColumnBlock<Weights, COUNT> *blocks, int column, const float *values, int size) {
    // Parts that are missing from the last superblock have no sums.
    ColumnBlock<Weights, COUNT> &last = blocks[(size / BLOCK - 1) / PARTS];
    memset(last.scales[column], 0, sizeof last.scales[column]);
    memset(last.sums[column], 0, sizeof last.sums[column]);
    float greatest = 0;
    for (int number = 0; number < size / BLOCK; number++, values += BLOCK) {
        ColumnBlock<Weights, COUNT> &to = blocks[number / PARTS];
        const int part = number % PARTS;
        if constexpr (HAS_ONE_SCALE<Weights>) {
            if (part == 0) {
                greatest = greatest_size_of(values, PARTS * BLOCK);
                to.scales[column][0] = greatest / 127;
            }
        } else {
            greatest = greatest_size_of(values, BLOCK);
            to.scales[column][part] = greatest / 127;
        }
        fill_part(to, column, part, values, greatest);
    }
}

} // namespace
