// What a product needs of quantized weights, and of others: columns, panels, tiles and rows.
#pragma once

#include "brains.h"
#include "repacked.h"
#include "row.h"
#include "tile.h"

bool llamafile_has_amx(); // of the shim, as in hooks.h

namespace {

// Up to so many columns, weights are read as stored: more do not fit into the registers.
constexpr int FEW = HAS_WIDE_ROWS ? 4 : 2, FEW_REPACKED = HAS_WIDE_ROWS ? 6 : 0;

// DEPTH: values of a row that a panel holds. Panel and columns stay in half of a first-level cache of 32 KiB.
template <class Weights> struct Quantized {
    static constexpr int PANEL_ROWS = ROWS, COLUMNS = Lanes::COLUMNS, DEPTH = 4 / VECTORS * PARTS * BLOCK;
    static constexpr int ROWS_AT_ONCE = 1, ROW_COLUMNS = FEW;
    // Of the value of this number in a row.
    static size_t row_offset(int values) { return values / Weights::SIZE * sizeof(typename Weights::Block); }

    template <int COUNT> static auto *columns(char *group) {
        return reinterpret_cast<ColumnBlock<Weights, COUNT> *>(group);
    }
    static PanelBlock<Weights> *panel(char *memory) { return reinterpret_cast<PanelBlock<Weights> *>(memory); }

    static size_t group_size(int size) { return sizeof(ColumnBlock<Weights, COLUMNS>) * superblocks_of(size); }
    static size_t panel_size(int size) { return sizeof(PanelBlock<Weights>) * superblocks_of(size); }

    template <int COUNT> static void fill_columns(char *group, const float *const (&values)[COUNT], int size) {
        for (int column = 0; column < COUNT; column++) {
            fill_column(columns<COUNT>(group), column, values[column], size);
        }
    }
    static void fill_panel(char *memory, const char *from, size_t row_size, int count, int size, ptrdiff_t ahead) {
        ::fill_panel(panel(memory), from, row_size, count, size, ahead);
    }
    template <int COUNT>
    static void multiply(char *memory, char *group, int start, int depth, size_t ahead, float (*results)[ROWS]) {
        multiply_tile<Weights, COUNT>(panel(memory), columns<COUNT>(group) + start / (PARTS * BLOCK), depth, start > 0,
                                      ahead, results);
    }
    template <int COUNT>
    static void multiply_row(const char *row, char *group, const float *const (&)[COUNT], int size,
                             float *const (&results)[COUNT]) {
        const auto *blocks = reinterpret_cast<const typename Weights::Block *>(row);
        ::multiply_row<Weights, COUNT>(blocks, columns<COUNT>(group), size, results);
    }
    // Whether products of rows need columns that were filled.
    static constexpr bool ROWS_NEED_COLUMNS = true;
    static constexpr bool is_faster(int64_t columns) { return columns > 1 || Weights::HAS_FAST_ROWS; }
};

// Rows that the engine has repacked. Its own functions are the faster ones for a few columns, unless rows are wide.
template <class Repacked> struct Rearranged : Quantized<typename Repacked::Weights> {
    using Weights = typename Repacked::Weights;
    static constexpr int ROWS_AT_ONCE = REPACKED_ROWS, ROW_COLUMNS = FEW_REPACKED;
    static void fill_panel(char *memory, const char *from, size_t row_size, int count, int size, ptrdiff_t ahead) {
        fill_repacked_panel<Repacked>(Rearranged::panel(memory), from, row_size * REPACKED_ROWS, count / REPACKED_ROWS,
                                      size, ahead);
    }
    static size_t row_offset(int values) { return values / Weights::SIZE * sizeof(typename Repacked::Group); }
    template <int COUNT>
    static void multiply_row([[maybe_unused]] const char *rows, [[maybe_unused]] char *group,
                             const float *const (&)[COUNT], [[maybe_unused]] int size,
                             [[maybe_unused]] float *const (&results)[COUNT]) {
#if defined(__AVX512VNNI__)
        multiply_repacked_rows<Repacked, COUNT>(reinterpret_cast<const typename Repacked::Group *>(rows),
                                                Rearranged::template columns<COUNT>(group), size, results);
#endif
    }
    static constexpr bool is_faster(int64_t columns) {
        constexpr int64_t LEAST = HAS_WIDE_ROWS ? 1 : Lanes::HAS_DOT ? 3 : IS_SIGNED<Weights> ? 24 : 8;
        return columns >= LEAST;
    }
};

template <class Weights> struct Floating {
    static constexpr int PANEL_ROWS = FLOAT_ROWS, COLUMNS = Lanes::FLOAT_COLUMNS, DEPTH = 128;
    static constexpr int ROWS_AT_ONCE = 1, ROW_COLUMNS = FEW;
    static size_t row_offset(int values) { return values * sizeof(typename Weights::Number); }

    template <int COUNT> static auto *columns(char *group) { return reinterpret_cast<FloatColumns<COUNT> *>(group); }
    static FloatPanelBlock *panel(char *memory) { return reinterpret_cast<FloatPanelBlock *>(memory); }

    static size_t group_size(int size) { return sizeof(FloatColumns<COLUMNS>) * size; }
    static size_t panel_size(int size) { return sizeof(FloatPanelBlock) * ((size + STEP - 1) / STEP); }

    template <int COUNT> static void fill_columns(char *group, const float *const (&values)[COUNT], int size) {
        fill_float_columns(columns<COUNT>(group), values, size);
    }
    static void fill_panel(char *memory, const char *from, size_t row_size, int count, int size, ptrdiff_t ahead) {
        fill_float_panel<Weights>(panel(memory), from, row_size, count, size, ahead);
    }
    template <int COUNT>
    static void multiply(char *memory, char *group, int start, int depth, size_t, float (*results)[FLOAT_ROWS]) {
        multiply_float_tile<COUNT>(panel(memory), columns<COUNT>(group) + start, depth, start > 0, results);
    }
    template <int COUNT>
    static void multiply_row(const char *row, char *, const float *const (&values)[COUNT], int size,
                             float *const (&results)[COUNT]) {
        multiply_float_row<Weights, COUNT>(reinterpret_cast<const typename Weights::Number *>(row), values, size,
                                           results);
    }
    static constexpr bool ROWS_NEED_COLUMNS = false;
    // Panels cost as much as a few columns.
    static bool is_faster(int64_t columns) {
#if defined(__AVX512VNNI__)
        if (columns <= ROW_COLUMNS && llamafile_has_amx()) {
            return false; // the functions in the engine's files for AMX
        }
#endif
        return columns >= 24 || columns <= ROW_COLUMNS;
    }
};

#if defined(__AVX512BF16__)
// The processor multiplies pairs of bfloat16; single rows are converted.
struct Brains : Floating<BF16> {
    static constexpr int DEPTH = 256;

    template <int COUNT> static auto *columns(char *group) { return reinterpret_cast<BrainColumns<COUNT> *>(group); }
    static BrainPanelBlock *panel(char *memory) { return reinterpret_cast<BrainPanelBlock *>(memory); }

    static size_t group_size(int size) { return sizeof(BrainColumns<COLUMNS>) * ((size + BRAINS - 1) / BRAINS); }
    static size_t panel_size(int size) { return sizeof(BrainPanelBlock) * ((size + BRAINS - 1) / BRAINS); }

    template <int COUNT> static void fill_columns(char *group, const float *const (&values)[COUNT], int size) {
        fill_brain_columns(columns<COUNT>(group), values, size);
    }
    static void fill_panel(char *memory, const char *from, size_t row_size, int count, int size, ptrdiff_t ahead) {
        fill_brain_panel(panel(memory), from, row_size, count, size, ahead);
    }
    template <int COUNT>
    static void multiply(char *memory, char *group, int start, int depth, size_t, float (*results)[FLOAT_ROWS]) {
        multiply_brain_tile<COUNT>(panel(memory), columns<COUNT>(group) + start / BRAINS, depth, start > 0, results);
    }
};
#endif

// Calls OPERATION with the kind of TYPE; false if there is none.
template <class Operation> bool with_kind(ggml_type type, Operation &&operation) {
    switch (type) {
    case GGML_TYPE_Q8_0:
        operation(Quantized<Q8_0>{});
        return true;
    case GGML_TYPE_Q4_0:
        operation(Quantized<Q4_0>{});
        return true;
    case GGML_TYPE_Q4_1:
        operation(Quantized<Q4_1>{});
        return true;
    case GGML_TYPE_Q5_0:
        operation(Quantized<Q5_0>{});
        return true;
    case GGML_TYPE_Q5_1:
        operation(Quantized<Q5_1>{});
        return true;
    case GGML_TYPE_Q4_K:
        operation(Quantized<Q4_K>{});
        return true;
    case GGML_TYPE_Q5_K:
        operation(Quantized<Q5_K>{});
        return true;
    case GGML_TYPE_Q6_K:
        operation(Quantized<Q6_K>{});
        return true;
    case GGML_TYPE_IQ4_NL:
        operation(Quantized<IQ4_NL>{});
        return true;
    case GGML_TYPE_IQ4_XS:
        operation(Quantized<IQ4_XS>{});
        return true;
    case GGML_TYPE_F32:
        operation(Floating<F32>{});
        return true;
    case GGML_TYPE_F16:
        operation(Floating<F16>{});
        return true;
    case GGML_TYPE_BF16:
#if defined(__AVX512BF16__)
        if (has_fast_brains()) {
            operation(Brains{});
            return true;
        }
#endif
        operation(Floating<BF16>{});
        return true;
    default:
        return false;
    }
}

// The same for weights that the engine has repacked.
template <class Operation> bool with_repacked_kind(ggml_type type, Operation &&operation) {
#if defined(__AVX2__)
    switch (type) {
    case GGML_TYPE_Q4_0:
        operation(Rearranged<RepackedQ4_0>{});
        return true;
    case GGML_TYPE_Q4_K:
        operation(Rearranged<RepackedQ4_K>{});
        return true;
    case GGML_TYPE_IQ4_NL:
        operation(Rearranged<RepackedIQ4_NL>{});
        return true;
    default:
        return false;
    }
#else
    (void)type;
    (void)operation;
    return false;
#endif
}

} // namespace
