// Weights that the engine has repacked (ggml-cpu/repack.cpp): eight rows, of which each has eight bytes in turn.
#pragma once

#include "row.h"

namespace {

constexpr int REPACKED_ROWS = 8;

// Part PART of the rows of a superblock; of SCALES and MINIMUMS, lane i is that of row i.
template <class Block> struct RepackedBlocks {
    ggml_half scales[REPACKED_ROWS];
    uint8_t bytes[sizeof Block::qs / 8][REPACKED_ROWS][8];
};

static_assert(sizeof(RepackedBlocks<block_q4_0>) == REPACKED_ROWS * sizeof(block_q4_0));
static_assert(sizeof(RepackedBlocks<block_iq4_nl>) == REPACKED_ROWS * sizeof(block_iq4_nl));

inline Floats8 to_floats_8(const ggml_half *halves) {
    Floats8 floats;
    to_floats(halves, REPACKED_ROWS, 0, reinterpret_cast<float *>(&floats));
    return floats;
}

#if defined(__AVX512VNNI__)
// Of eight bytes of each row.
inline __m512i lower_nibbles(const void *from) {
    return _mm512_and_si512(_mm512_loadu_si512(from), _mm512_set1_epi8(15));
}

inline __m512i upper_nibbles(const void *from) {
    return _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(from), 4), _mm512_set1_epi8(15));
}
#endif

// Of each type: the functions get the first group of a superblock. These types have 16 bytes and one scale in a block.
template <class Block> struct RepackedNibbles {
    using Group = RepackedBlocks<Block>;
    static Bytes indices(const Group *groups, int part, int row) {
        uint8_t both[16];
        memcpy(both, groups[part].bytes[0][row], 8);
        memcpy(both + 8, groups[part].bytes[1][row], 8);
        return nibbles(both);
    }
    static void scales(const Group *groups, int part, Floats8 &scales, Floats8 &) {
        scales = to_floats_8(groups[part].scales);
    }
#if defined(__AVX512VNNI__)
    static __m512i wide_indices(const Group *groups, int part, int quarter) {
        return quarter / 2 ? upper_nibbles(groups[part].bytes[quarter % 2])
                           : lower_nibbles(groups[part].bytes[quarter % 2]);
    }
#endif
};

struct RepackedQ4_0 : RepackedNibbles<block_q4_0> {
    using Weights = Q4_0;
    static Bytes bytes(const Group *groups, int part, int row) {
        return indices(groups, part, row) ^ 8; // the engine made them signed
    }
#if defined(__AVX512VNNI__)
    static __m512i wide_bytes(const Group *groups, int part, int quarter) {
        return _mm512_xor_si512(wide_indices(groups, part, quarter), _mm512_set1_epi8(8));
    }
#endif
};

struct RepackedIQ4_NL : RepackedNibbles<block_iq4_nl> {
    using Weights = IQ4_NL;
    static Bytes bytes(const Group *groups, int part, int row) {
        return look_up(IQ4_VALUES, indices(groups, part, row));
    }
#if defined(__AVX512VNNI__)
    static __m512i wide_bytes(const Group *groups, int part, int quarter) {
        const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i *>(IQ4_VALUES));
        const __m512i table = _mm512_broadcast_i32x4(_mm_xor_si128(entries, _mm_set1_epi8(-128)));
        return _mm512_shuffle_epi8(table, wide_indices(groups, part, quarter));
    }
#endif
};

// The factors of a part are those of eight rows, stored as those of eight parts are in a block of one row.
struct RepackedBlocksOfQ4_K {
    ggml_half scales[REPACKED_ROWS], minimums[REPACKED_ROWS];
    uint8_t factors[PARTS][K_SCALE_SIZE];
    uint8_t bytes[QK_K / 2 / 8][REPACKED_ROWS][8];
};

static_assert(sizeof(RepackedBlocksOfQ4_K) == REPACKED_ROWS * sizeof(block_q4_K));

struct RepackedQ4_K {
    using Weights = Q4_K;
    using Group = RepackedBlocksOfQ4_K;
    static Bytes bytes(const Group *group, int part, int row) {
        uint8_t both[32];
        for (int i = 0; i < 4; i++) {
            memcpy(both + 8 * i, group->bytes[part / 2 * 4 + i][row], 8);
        }
        return part % 2 ? load_bytes(both) >> 4 : load_bytes(both) & 15;
    }
    static void scales(const Group *group, int part, Floats8 &scales, Floats8 &minimums) {
        unpack_6_bits(group->factors[part], to_floats_8(group->scales), to_floats_8(group->minimums),
                      reinterpret_cast<float *>(&scales), reinterpret_cast<float *>(&minimums));
    }
#if defined(__AVX512VNNI__)
    static __m512i wide_bytes(const Group *group, int part, int quarter) {
        const auto *bytes = group->bytes[part / 2 * 4 + quarter];
        return part % 2 ? upper_nibbles(bytes) : lower_nibbles(bytes);
    }
#endif
};

// Fills part PART of eight rows of PANEL, from row FIRST on.
template <class Repacked>
inline void fill_repacked_part(PanelBlock<typename Repacked::Weights> &panel, const typename Repacked::Group *groups,
                               int part, int first) {
    using Weights = typename Repacked::Weights;
    uint8_t bytes[REPACKED_ROWS][BLOCK];
    for (int row = 0; row < REPACKED_ROWS; row++) {
        store_bytes(bytes[row], for_panel<Weights>(Repacked::bytes(groups, part, row)));
    }
    transpose<REPACKED_ROWS>(bytes, panel.bytes[part][0][first], sizeof panel.bytes[part][0]);
}

#if defined(__AVX512VNNI__)
// The same for rows of two groups: eight bytes of a row are the words of two groups of four.
template <class Repacked>
inline void fill_wide_part(PanelBlock<typename Repacked::Weights> &panel, const typename Repacked::Group *groups,
                           const typename Repacked::Group *others, int part, int first) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    for (int quarter = 0; quarter < 4; quarter++) {
        const __m512i a = Repacked::wide_bytes(groups, part, quarter), b = Repacked::wide_bytes(others, part, quarter);
        _mm512_storeu_si512(panel.bytes[part][2 * quarter][first], _mm512_permutex2var_epi32(a, even, b));
        _mm512_storeu_si512(panel.bytes[part][2 * quarter + 1][first], _mm512_permutex2var_epi32(a, odd, b));
    }
}
#endif

// Fills PANEL with rows of SIZE weights that begin in the groups at FROM, GROUP_SIZE bytes apart. COUNT groups exist;
// the others are copies of the last. What is needed next lies AHEAD bytes behind these.
template <class Repacked>
void fill_repacked_panel(PanelBlock<typename Repacked::Weights> *panel, const char *from, size_t group_size, int count,
                         int size, ptrdiff_t ahead) {
    using Weights = typename Repacked::Weights;
    constexpr int GROUPS = ROWS / REPACKED_ROWS, STEP = PARTS * BLOCK / Weights::SIZE;
    const typename Repacked::Group *groups[GROUPS];
    for (int i = 0; i < GROUPS; i++) {
        groups[i] = reinterpret_cast<const typename Repacked::Group *>(from + (i < count ? i : count - 1) * group_size);
    }
    for (int block = 0; block * PARTS * BLOCK < size; block++, panel++) {
        for (int part = 0; part < parts_of(size, block); part++) {
            for (int i = 0; i < GROUPS; i++) {
                prefetch(groups[i], STEP * sizeof *groups[i], ahead, part, PARTS);
                Floats8 scales, minimums;
                Repacked::scales(groups[i], part, scales, minimums);
                store_8(panel->scales[part] + i * REPACKED_ROWS, scales);
                if constexpr (Weights::HAS_MINIMUM) {
                    store_8(panel->minimums[part] + i * REPACKED_ROWS, minimums);
                }
#if !defined(__AVX512VNNI__)
                fill_repacked_part<Repacked>(*panel, groups[i], part, i * REPACKED_ROWS);
#else
                if (i % 2 == 0) {
                    fill_wide_part<Repacked>(*panel, groups[i], groups[i + 1], part, i * REPACKED_ROWS);
                }
#endif
            }
        }
        for (auto &group : groups) {
            group += STEP;
        }
    }
}

#if defined(__AVX512VNNI__)
// The products of part PART of eight rows and column COLUMN: two lanes for each row. The first column asks for what is
// read later, whenever it reads a line: if all lines of a superblock were asked for at once, loads would wait for them.
template <class Repacked, int COUNT>
inline __m512i wide_dot(const typename Repacked::Group *groups,
                        const ColumnBlock<typename Repacked::Weights, COUNT> &columns, int part, int column) {
    constexpr size_t PART_SIZE = REPACKED_ROWS * SUPERBLOCK<typename Repacked::Weights> / PARTS;
    __m512i sums = _mm512_setzero_si512();
    for (int quarter = 0; quarter < 4; quarter++) {
        if (column == 0) {
            prefetch(reinterpret_cast<const char *>(groups) + part * PART_SIZE, PART_SIZE, PREFETCH_DISTANCE, quarter,
                     4);
        }
        int64_t eight;
        memcpy(&eight, columns.part(part, column) + 8 * quarter, sizeof eight);
        sums = _mm512_dpbusd_epi32(sums, Repacked::wide_bytes(groups, part, quarter), _mm512_set1_epi64(eight));
    }
    return sums;
}

// The products of eight rows and COUNT columns: two lanes for each row, which alternate between parts.
template <class Repacked, int COUNT> struct RepackedTotals {
    using Weights = typename Repacked::Weights;
    __m512 products[COUNT][2] = {};
    Floats8 minimums[COUNT] = {};

    // Of rows, twice each.
    static __m512 twice(Floats8 rows) {
        const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        return _mm512_permutexvar_ps(pairs, _mm512_castps256_ps512(reinterpret_cast<__m256>(rows)));
    }

    void add_part(const typename Repacked::Group *groups, const ColumnBlock<Weights, COUNT> &columns, int part) {
        Floats8 scales, offsets;
        Repacked::scales(groups, part, scales, offsets);
        const __m512 both = twice(scales);
        for (int column = 0; column < COUNT; column++) {
            const float scale = columns.scales[column][part];
            const __m512 sums = _mm512_cvtepi32_ps(wide_dot<Repacked>(groups, columns, part, column));
            __m512 &product = products[column][part % 2];
            product = _mm512_fmadd_ps(sums, _mm512_mul_ps(both, _mm512_set1_ps(scale)), product);
            minimums[column] -= scales * (OFFSET<Weights> * columns.sums[column][part]);
        }
    }

    // The same for a superblock of weights whose scales are integers.
    void add_integers(const typename Repacked::Group &group, const ColumnBlock<Weights, COUNT> &columns) {
        static_assert(Weights::MAX * 127 * 16 <= INT16_MAX);
        const __m128i pairs = _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        __m512i sums[COUNT] = {};
        Floats8 offsets[COUNT] = {};
#pragma clang loop unroll(full)
        for (int part = 0; part < PARTS; part++) {
            const SixBits all(group.factors[part]);
            const __m128i each = _mm_shuffle_epi8(_mm_cvtsi64_si128(static_cast<int64_t>(all.scales)), pairs);
            const __m512i scales = _mm512_cvtepu8_epi32(each);
            const Floats8 own = SixBits::floats(all.minimums);
            for (int column = 0; column < COUNT; column++) {
                const __m512i dots = wide_dot<Repacked>(&group, columns, part, column);
                sums[column] = _mm512_dpwssd_epi32(sums[column], dots, scales);
                offsets[column] += own * columns.sums[column][part];
            }
        }
        const __m512 scales = twice(to_floats_8(group.scales));
        const Floats8 others = to_floats_8(group.minimums);
        for (int column = 0; column < COUNT; column++) {
            const float scale = columns.scales[column][0];
            __m512 &product = products[column][0];
            product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[column]), _mm512_mul_ps(scales, _mm512_set1_ps(scale)),
                                      product);
            minimums[column] -= offsets[column] * (others * scale);
        }
    }

    void store(float *const (&results)[COUNT]) const {
        for (int column = 0; column < COUNT; column++) {
            float lanes[2 * REPACKED_ROWS], rows[REPACKED_ROWS];
            _mm512_storeu_ps(lanes, _mm512_add_ps(products[column][0], products[column][1]));
            for (int row = 0; row < REPACKED_ROWS; row++) {
                rows[row] = lanes[2 * row] + lanes[2 * row + 1];
            }
            store_8(results[column], load_8(rows) + minimums[column]);
        }
    }
};

template <class Repacked, int COUNT>
void multiply_repacked_rows(const typename Repacked::Group *groups,
                            const ColumnBlock<typename Repacked::Weights, COUNT> *columns, int size,
                            float *const (&results)[COUNT]) {
    using Weights = typename Repacked::Weights;
    constexpr int STEP = PARTS * BLOCK / Weights::SIZE;
    RepackedTotals<Repacked, COUNT> totals;
    for (int block = 0; block * PARTS * BLOCK < size; block++, groups += STEP, columns++) {
        if constexpr (HAS_INTEGER_FACTORS<Weights>) {
            totals.add_integers(*groups, *columns);
        } else {
            for (int part = 0; part < parts_of(size, block); part++) {
                totals.add_part(groups, *columns, part);
            }
        }
    }
    totals.store(results);
}
#endif

} // namespace
