// Weights that the engine has repacked (ggml-cpu/repack.cpp): eight rows, of which each has eight bytes in turn.
#pragma once

#include "panel.h"

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
};

struct RepackedQ4_0 : RepackedNibbles<block_q4_0> {
    using Weights = Q4_0;
    static Bytes bytes(const Group *groups, int part, int row) {
        return indices(groups, part, row) ^ 8; // the engine made them signed
    }
};

struct RepackedIQ4_NL : RepackedNibbles<block_iq4_nl> {
    using Weights = IQ4_NL;
    static Bytes bytes(const Group *groups, int part, int row) {
        return look_up(IQ4_VALUES, indices(groups, part, row));
    }
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

} // namespace
