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
// Eight bytes of each row: the lower halves of all, and the upper ones.
struct WideNibbles {
    __m512i low, high;
    explicit WideNibbles(const void *from) {
        const __m512i both = _mm512_loadu_si512(from), half = _mm512_set1_epi8(15);
        low = _mm512_and_si512(both, half);
        high = _mm512_and_si512(_mm512_srli_epi16(both, 4), half);
    }
};

// Adds the products of eight bytes of each row with eight VALUES: two lanes for each row.
inline __m512i add_wide_dot(__m512i sums, __m512i bytes, const int8_t *values) {
    int64_t eight;
    memcpy(&eight, values, sizeof eight);
    return _mm512_dpbusd_epi32(sums, bytes, _mm512_set1_epi64(eight));
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
    // The products of a part, whose bytes TO_WEIGHTS makes of nibbles.
    template <class ToWeights>
    static __m512i dot(const Group *groups, int part, const int8_t *values, ToWeights &&to_weights) {
        __m512i sums = _mm512_setzero_si512();
        for (int i = 0; i < 2; i++) {
            const WideNibbles nibbles(groups[part].bytes[i]);
            sums = add_wide_dot(sums, to_weights(nibbles.low), values + 8 * i);
            sums = add_wide_dot(sums, to_weights(nibbles.high), values + 16 + 8 * i);
        }
        return sums;
    }
#endif
};

struct RepackedQ4_0 : RepackedNibbles<block_q4_0> {
    using Weights = Q4_0;
    static Bytes bytes(const Group *groups, int part, int row) {
        return indices(groups, part, row) ^ 8; // the engine made them signed
    }
#if defined(__AVX512VNNI__)
    static __m512i wide_dot(const Group *groups, int part, const int8_t *values) {
        return dot(groups, part, values, [](__m512i all) { return _mm512_xor_si512(all, _mm512_set1_epi8(8)); });
    }
#endif
};

struct RepackedIQ4_NL : RepackedNibbles<block_iq4_nl> {
    using Weights = IQ4_NL;
    static Bytes bytes(const Group *groups, int part, int row) {
        return look_up(IQ4_VALUES, indices(groups, part, row));
    }
#if defined(__AVX512VNNI__)
    static __m512i wide_dot(const Group *groups, int part, const int8_t *values) {
        const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i *>(IQ4_VALUES));
        const __m512i table = _mm512_broadcast_i32x4(_mm_xor_si128(entries, _mm_set1_epi8(-128)));
        return dot(groups, part, values, [table](__m512i all) { return _mm512_shuffle_epi8(table, all); });
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
    static __m512i wide_dot(const Group *group, int part, const int8_t *values) {
        __m512i sums = _mm512_setzero_si512();
        for (int i = 0; i < 4; i++) {
            const WideNibbles nibbles(group->bytes[part / 2 * 4 + i]);
            sums = add_wide_dot(sums, part % 2 ? nibbles.high : nibbles.low, values + 8 * i);
        }
        return sums;
    }
#endif
};

// Fills PANEL with rows of SIZE weights that begin in the groups at FROM, GROUP_SIZE bytes apart. COUNT groups exist;
// the others are copies of the last.
template <class Repacked>
void fill_repacked_panel(PanelBlock<typename Repacked::Weights> *panel, const char *from, size_t group_size, int count,
                         int size) {
    using Weights = typename Repacked::Weights;
    for (int number = 0; number < ROWS / REPACKED_ROWS; number++) {
        const int row = number * REPACKED_ROWS;
        const char *at = from + (number < count ? number : count - 1) * group_size;
        const auto *groups = reinterpret_cast<const typename Repacked::Group *>(at);
        for (int block = 0; block * PARTS * BLOCK < size; block++, groups += PARTS * BLOCK / Weights::SIZE) {
            for (int part = 0; part < parts_of(size, block); part++) {
                PanelBlock<Weights> &to = panel[block * PARTS + part];
                Floats8 scales, minimums;
                Repacked::scales(groups, part, scales, minimums);
                store_8(to.scales[0] + row, scales);
                if constexpr (Weights::HAS_MINIMUM) {
                    store_8(to.minimums[0] + row, minimums);
                }
                uint8_t bytes[REPACKED_ROWS][BLOCK];
                for (int i = 0; i < REPACKED_ROWS; i++) {
                    store_bytes(bytes[i], for_panel<Weights>(Repacked::bytes(groups, part, i)));
                }
                transpose<REPACKED_ROWS>(bytes, to.bytes[0][row], sizeof to.bytes[0]);
            }
        }
    }
}

#if defined(__AVX512VNNI__)
// The product of eight rows and COUNT columns.
template <class Repacked, int COUNT>
void multiply_repacked_rows(const typename Repacked::Group *groups,
                            const ColumnBlock<typename Repacked::Weights, COUNT> *columns, int size,
                            float *const (&results)[COUNT]) {
    using Weights = typename Repacked::Weights;
    constexpr int STEP = PARTS * BLOCK / Weights::SIZE;
    const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512 products[COUNT][2] = {};
    Floats8 minimums[COUNT] = {};
    for (int block = 0; block * PARTS * BLOCK < size; block++, groups += STEP, columns++) {
        const int parts = parts_of(size, block);
        prefetch(groups, STEP * sizeof *groups);
#pragma clang loop unroll(full)
        for (int part = 0; part < PARTS; part++) {
            if (part >= parts) {
                break;
            }
            Floats8 scales, offsets;
            Repacked::scales(groups, part, scales, offsets);
            for (int column = 0; column < COUNT; column++) {
                const __m512i sums = Repacked::wide_dot(groups, part, columns->values[part][column]);
                const Floats8 factors = scales * columns->scales[column][part];
                const __m512 each =
                    _mm512_permutexvar_ps(pairs, _mm512_castps256_ps512(reinterpret_cast<__m256>(factors)));
                __m512 &product = products[column][part % 2];
                product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), each, product);
                if constexpr (Weights::HAS_MINIMUM) {
                    minimums[column] += offsets * columns->sums[column][part];
                } else {
                    minimums[column] -= scales * (OFFSET<Weights> * columns->sums[column][part]);
                }
            }
        }
    }
    for (int column = 0; column < COUNT; column++) {
        float lanes[2 * REPACKED_ROWS], rows[REPACKED_ROWS];
        _mm512_storeu_ps(lanes, _mm512_add_ps(products[column][0], products[column][1]));
        for (int row = 0; row < REPACKED_ROWS; row++) {
            rows[row] = lanes[2 * row] + lanes[2 * row + 1];
        }
        store_8(results[column], load_8(rows) + minimums[column]);
    }
}
#endif

} // namespace
