// Keys or values of a KV cache, of any type, as panels of floating point.
#pragma once

#include "floats.h"
#include "operation.h"

namespace {

constexpr int TILE = 64; // cells that are multiplied at once
static_assert(TILE % FLOAT_ROWS == 0 && TILE % STEP == 0);

// COUNT rows of SIZE numbers as they are: row i of panel j has FLOAT_ROWS of them.
template <class Weights>
void fill_row_panels(float (*panels)[TILE][FLOAT_ROWS], const char *from, size_t row_size, int count, int size) {
    for (int row = 0; row < count; row++, from += row_size) {
        const auto *numbers = reinterpret_cast<const typename Weights::Number *>(from);
        for (int start = 0; start < size; start += STEP) {
            store_8(&panels[start / FLOAT_ROWS][row][start % FLOAT_ROWS],
                    load_some<Weights>(numbers + start, size - start));
        }
    }
}

// The cells of one head.
class Cells {
  public:
    // Memory for numbers that are not in floating point.
    static size_t work_size(const ggml_tensor *tensor) { return FLOAT_ROWS * tensor->ne[0] * sizeof(float); }

    static bool is_known(const ggml_tensor *tensor) {
        return tensor->nb[0] == ggml_type_size(tensor->type) && tensor->ne[0] < INT32_MAX &&
               (tensor->type == GGML_TYPE_F32 || ggml_get_type_traits(tensor->type)->to_float != nullptr);
    }

    Cells(const ggml_tensor *tensor, int64_t head, int64_t stream, float *work)
        : tensor(tensor), data(reinterpret_cast<const char *>(floats_at(tensor, 0, head, stream))), work(work),
          size(static_cast<int>(tensor->ne[0])) {}

    // Keys: cells are the rows of a panel. Those that are missing are copies of the last.
    void fill_panel(FloatPanelBlock *panel, int64_t first, int count) const {
        with_rows(first, count, [&]<class Weights>(Weights, const char *rows, size_t row_size) {
            fill_float_panel<Weights>(panel, rows, row_size, count, size, FLOAT_ROWS * row_size);
        });
    }

    // Values: cells are the columns, up to TILE of them.
    void fill_rows(float (*panels)[TILE][FLOAT_ROWS], int64_t first, int count) const {
        for (int done = 0; done < count; done += FLOAT_ROWS) {
            const int some = static_cast<int>(smaller(count - done, FLOAT_ROWS));
            auto *to = reinterpret_cast<float (*)[TILE][FLOAT_ROWS]>(panels[0][done]);
            with_rows(first + done, some, [&]<class Weights>(Weights, const char *rows, size_t row_size) {
                fill_row_panels<Weights>(to, rows, row_size, some, size);
            });
        }
    }

  private:
    // Calls FILL with the type and the place of COUNT cells, at most FLOAT_ROWS.
    template <class Fill> void with_rows(int64_t first, int count, Fill &&fill) const {
        const char *rows = data + first * tensor->nb[1];
        switch (tensor->type) {
        case GGML_TYPE_F16:
            return fill(F16{}, rows, tensor->nb[1]);
        case GGML_TYPE_BF16:
            return fill(BF16{}, rows, tensor->nb[1]);
        case GGML_TYPE_F32:
            return fill(F32{}, rows, tensor->nb[1]);
        default:
            for (int row = 0; row < count; row++) {
                ggml_get_type_traits(tensor->type)->to_float(rows + row * tensor->nb[1], work + row * size, size);
            }
            return fill(F32{}, reinterpret_cast<const char *>(work), size * sizeof *work);
        }
    }

    const ggml_tensor *tensor;
    const char *data;
    float *work;
    int size;
};

} // namespace
