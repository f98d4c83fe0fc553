// Weights in the order in which the engine's CPU backend repacks them on x86-64: a group of eight rows has eight bytes
// of each row in turn.
#pragma once

#include "ggml-backend-impl.h"
#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml.h"

#include <cstdint>
#include <cstring>
#include <vector>

// What the engine's memory for them says of itself.
inline ggml_backend_buffer_type repack_type = {};
inline ggml_backend_buffer repack_buffer = {{}, &repack_type, nullptr, 0, GGML_BACKEND_BUFFER_USAGE_ANY};

namespace repacking {

constexpr int ROWS = 8;
using Output = std::vector<uint8_t>;

inline void append(Output &output, const void *from, size_t size) {
    const auto *bytes = static_cast<const uint8_t *>(from);
    output.insert(output.end(), bytes, bytes + size);
}

template <class Block> void append_bytes(Output &output, const Block *const (&rows)[ROWS], uint8_t changed) {
    for (size_t start = 0; start < sizeof rows[0]->qs; start += 8) {
        for (const Block *row : rows) {
            for (size_t i = 0; i < 8; i++) {
                output.push_back(row->qs[start + i] ^ changed);
            }
        }
    }
}

inline void append_group(Output &output, const block_q4_0 *const (&rows)[ROWS]) {
    for (const block_q4_0 *row : rows) {
        append(output, &row->d, sizeof row->d);
    }
    append_bytes(output, rows, 0x88);
}

inline void append_group(Output &output, const block_iq4_nl *const (&rows)[ROWS]) {
    for (const block_iq4_nl *row : rows) {
        append(output, &row->d, sizeof row->d);
    }
    append_bytes(output, rows, 0);
}

// Factors of six bits: eight scales and eight minimums in twelve bytes.
inline void append_factors(Output &output, const uint8_t (&scales)[ROWS], const uint8_t (&minimums)[ROWS]) {
    for (const uint8_t *factors : {scales, minimums}) {
        for (int i = 0; i < 4; i++) {
            output.push_back(factors[i] | factors[i + 4] >> 4 << 6);
        }
    }
    for (int i = 4; i < ROWS; i++) {
        output.push_back((scales[i] & 15) | (minimums[i] & 15) << 4);
    }
}

inline void append_group(Output &output, const block_q4_K *const (&rows)[ROWS]) {
    for (const block_q4_K *row : rows) {
        append(output, &row->d, sizeof row->d);
    }
    for (const block_q4_K *row : rows) {
        append(output, &row->dmin, sizeof row->dmin);
    }
    for (int part = 0; part < 8; part++) {
        uint8_t scales[ROWS], minimums[ROWS];
        for (int i = 0; i < ROWS; i++) {
            const uint8_t *from = rows[i]->scales;
            scales[i] = part < 4 ? from[part] & 63 : (from[part + 4] & 15) | from[part - 4] >> 6 << 4;
            minimums[i] = part < 4 ? from[part + 4] & 63 : from[part + 4] >> 4 | from[part] >> 6 << 4;
        }
        append_factors(output, scales, minimums);
    }
    append_bytes(output, rows, 0);
}

template <class Block> void repack_as(ggml_tensor *weights) {
    auto *blocks = static_cast<Block *>(weights->data);
    const int64_t in_row = weights->ne[0] / ggml_blck_size(weights->type);
    Output output;
    for (int64_t first = 0; first < ggml_nrows(weights); first += ROWS) {
        for (int64_t block = 0; block < in_row; block++) {
            const Block *rows[ROWS];
            for (int row = 0; row < ROWS; row++) {
                rows[row] = blocks + (first + row) * in_row + block;
            }
            append_group(output, rows);
        }
    }
    memcpy(weights->data, output.data(), output.size());
    weights->buffer = &repack_buffer;
    weights->extra = &repack_type; // the engine has its functions there
}

} // namespace repacking

// Repacks WEIGHTS, which must have a multiple of eight rows.
inline void repack(ggml_tensor *weights) {
    if (weights->type == GGML_TYPE_Q4_0) {
        repacking::repack_as<block_q4_0>(weights);
    } else if (weights->type == GGML_TYPE_IQ4_NL) {
        repacking::repack_as<block_iq4_nl>(weights);
    } else {
        repacking::repack_as<block_q4_K>(weights);
    }
}
