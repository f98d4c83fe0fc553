// Attention over a KV cache. Heads that share their keys are columns of the same products, so that keys and values are
// converted once for all of them; the cells of a long cache are divided among threads when there are few queries.
#pragma once

#include "softmax.h"

#include "ggml-cpu-impl.h"

namespace {

class Attention {
  public:
    static bool can_compute(const ggml_tensor *op) {
        if (op->op != GGML_OP_FLASH_ATTN_EXT) {
            return false;
        }
        const ggml_tensor *queries = op->src[0], *keys = op->src[1], *values = op->src[2], *mask = op->src[3];
        return queries->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32 && queries->nb[0] == sizeof(float) &&
               Cells::is_known(keys) && Cells::is_known(values) && keys->ne[2] == values->ne[2] &&
               keys->ne[3] == values->ne[3] && (mask == nullptr || mask->type == GGML_TYPE_F16);
    }

    Attention(const ggml_tensor *op, int threads)
        : op(op), queries(op->src[0]), keys(op->src[1]), values(op->src[2]), scaling(op), threads(threads),
          key_size(static_cast<int>(keys->ne[0])), value_size(static_cast<int>(values->ne[0])),
          sharing(queries->ne[2] / keys->ne[2]) {
        const int64_t units = keys->ne[2] * queries->ne[3]; // if each took all queries
        const int64_t most = larger(MOST_COLUMNS / sharing, 1), least = larger(LEAST_COLUMNS / sharing, 1);
        queries_at_once = smaller(larger(queries->ne[1] * units / (UNITS * threads), least), most);
        blocks = groups_of(queries->ne[1], queries_at_once);
        const int64_t share = larger(groups_of(keys->ne[1], MOST_PARTS * TILE) * TILE, LEAST_CELLS);
        // Not by the number of threads: results do not depend on it.
        cells_of_part = queries->ne[1] > least ? keys->ne[1] : share;
        parts = groups_of(keys->ne[1], cells_of_part);
        memory_size = place(0);
    }

    size_t work_size() const {
        return LINE + threads * memory_size + (parts > 1 ? ggml_nrows(op) * parts * partial_size() : 0);
    }

    void compute(const ggml_compute_params *params) {
        const size_t memory = aligned(reinterpret_cast<size_t>(params->wdata));
        partials = reinterpret_cast<char *>(memory + threads * memory_size);
        place(memory + params->ith * memory_size);
        // Lanes beyond the values' size are computed, and not used.
        memset(value_panels, 0, panels() * sizeof *value_panels);
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);
        const int64_t units = queries->ne[3] * keys->ne[2] * blocks * parts;
        for (int64_t unit = params->ith; unit < units; unit = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            compute_unit(unit);
        }
        if (parts > 1) {
            ggml_barrier(params->threadpool);
            for (int64_t row = params->ith; row < ggml_nrows(op); row += params->nth) {
                merge_parts(row);
            }
        }
    }

  private:
    static constexpr int COLUMNS = Lanes::FLOAT_COLUMNS, NARROW = COLUMNS / 2;
    static constexpr int64_t MOST_COLUMNS = 128, LEAST_COLUMNS = 32; // heads of queries at once
    static constexpr int64_t UNITS = 4;                              // of each thread, if there are enough queries
    static constexpr int64_t LEAST_CELLS = 128, MOST_PARTS = 16;
    using Sums = float[COLUMNS][FLOAT_ROWS];

    // One head of keys, a block of queries with all heads that share it, and a part of the cells.
    struct Unit {
        int64_t stream, head, query, cell; // the first ones
        int64_t columns, cells;
    };

    int64_t panels() const { return groups_of(value_size, FLOAT_ROWS); }
    int64_t key_blocks() const { return groups_of(key_size, STEP); }
    size_t partial_size() const { return sizeof(Softmax) + value_size * sizeof(float); }
    char *partial(int64_t row, int64_t part) const { return partials + (row * parts + part) * partial_size(); }

    // Divides the memory of a thread that begins at START; returns its size.
    size_t place(size_t start) {
        size_t end = start;
        const auto take = [&end]<class Part>(Part *&part, int64_t count) {
            part = reinterpret_cast<Part *>(end);
            end += aligned(count * sizeof(Part));
        };
        const int64_t groups = groups_of(queries_at_once * sharing, COLUMNS);
        take(columns, groups * key_size);
        take(key_panels, TILE / FLOAT_ROWS * key_blocks());
        take(value_panels, panels());
        take(sums, groups * panels());
        take(softmaxes, groups * COLUMNS);
        take(result, value_size);
        take(work, larger(Cells::work_size(keys), Cells::work_size(values)) / sizeof(float));
        return end - start;
    }

    Unit unit_of(int64_t number) const {
        const int64_t part = number % parts, block = number / parts % blocks, rest = number / parts / blocks;
        const int64_t query = block * queries_at_once, cell = part * cells_of_part;
        return {rest / keys->ne[2],
                rest % keys->ne[2],
                query,
                cell,
                smaller(queries->ne[1] - query, queries_at_once) * sharing,
                smaller(keys->ne[1] - cell, cells_of_part)};
    }

    int64_t head_of(const Unit &unit, int64_t column) const { return unit.head * sharing + column % sharing; }
    int64_t query_of(const Unit &unit, int64_t column) const { return unit.query + column / sharing; }

    Mask mask_of(const Unit &unit, int64_t column) const {
        const ggml_tensor *mask = op->src[3];
        const int64_t head = head_of(unit, column);
        if (mask == nullptr) {
            return {nullptr, 1};
        }
        const float *cells = floats_at(mask, query_of(unit, column), head % mask->ne[2], unit.stream % mask->ne[3]);
        return {reinterpret_cast<const ggml_half *>(cells), slope_of(head)};
    }

    // Of attention with linear biases.
    float slope_of(int64_t head) const {
        float most;
        memcpy(&most, op->op_params + 1, sizeof most);
        if (most <= 0) {
            return 1;
        }
        const int64_t power = int64_t{1} << static_cast<int>(floor(log2(static_cast<double>(queries->ne[2]))));
        return head < power ? powf(powf(2, -most / power), head + 1)
                            : powf(powf(2, -most / 2 / power), 2 * (head - power) + 1);
    }

    // Calls CALL with the width of a group as a constant.
    template <class Call> static void with_width(int64_t left, Call &&call) {
        if (left <= NARROW) {
            call.template operator()<NARROW>();
        } else {
            call.template operator()<COLUMNS>();
        }
    }

    void compute_unit(int64_t number) {
        const Unit unit = unit_of(number);
        const int64_t groups = groups_of(unit.columns, COLUMNS);
        for (int64_t group = 0; group < groups; group++) {
            with_width(unit.columns - group * COLUMNS, [&]<int WIDTH>() { fill_queries<WIDTH>(unit, group); });
        }
        memset(sums, 0, groups * panels() * sizeof *sums);
        for (int64_t column = 0; column < unit.columns; column++) {
            softmaxes[column] = {};
        }
        const Cells key_cells(keys, unit.head, unit.stream, work), value_cells(values, unit.head, unit.stream, work);
        for (int64_t done = 0; done < unit.cells; done += TILE) {
            const int count = static_cast<int>(smaller(TILE, unit.cells - done));
            compute_tile(unit, key_cells, value_cells, unit.cell + done, count);
        }
        for (int64_t column = 0; column < unit.columns; column++) {
            finish(unit, column, number % parts);
        }
    }

    template <int WIDTH> void fill_queries(const Unit &unit, int64_t group) {
        const float *from[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            const int64_t column = smaller(group * COLUMNS + i, unit.columns - 1); // those that are missing are copies
            from[i] = floats_at(queries, query_of(unit, column), head_of(unit, column), unit.stream);
        }
        fill_float_columns(reinterpret_cast<FloatColumns<WIDTH> *>(columns + group * key_size), from, key_size);
    }

    void compute_tile(const Unit &unit, const Cells &key_cells, const Cells &value_cells, int64_t first, int count) {
        bool is_filled = false;
        for (int64_t start = 0; start < unit.columns; start += COLUMNS) {
            const int64_t end = smaller(start + COLUMNS, unit.columns);
            int64_t column = start;
            while (column < end && mask_of(unit, column).hides(first, count)) {
                column++;
            }
            if (column == end) {
                continue;
            }
            if (!is_filled) {
                for (int done = 0; done < count; done += FLOAT_ROWS) {
                    key_cells.fill_panel(key_panels + done / FLOAT_ROWS * key_blocks(), first + done,
                                         static_cast<int>(smaller(count - done, FLOAT_ROWS)));
                }
                value_cells.fill_rows(value_panels, first, count);
                is_filled = true;
            }
            with_width(end - start, [&]<int WIDTH>() { compute_group<WIDTH>(unit, start / COLUMNS, first, count); });
        }
    }

    template <int WIDTH> void compute_group(const Unit &unit, int64_t group, int64_t first, int count) {
        alignas(LINE) float scores[WIDTH][TILE];
        for (int done = 0; done < count; done += FLOAT_ROWS) {
            float products[WIDTH][FLOAT_ROWS];
            multiply_float_tile<WIDTH>(key_panels + done / FLOAT_ROWS * key_blocks(),
                                       reinterpret_cast<FloatColumns<WIDTH> *>(columns + group * key_size), key_size,
                                       false, products);
            for (int i = 0; i < WIDTH; i++) {
                memcpy(scores[i] + done, products[i], sizeof products[i]);
            }
        }
        Sums *all = sums + group * panels();
        const float *shares[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            const int64_t column = group * COLUMNS + i;
            if (column >= unit.columns) {
                shares[i] = shares[i - 1];
                continue;
            }
            const float factor = softmaxes[column].add(scores[i], count, scaling, mask_of(unit, column), first);
            if (factor != 1) {
                for (int64_t panel = 0; panel < panels(); panel++) {
                    scale(all[panel][i], factor);
                }
            }
            shares[i] = scores[i];
        }
        FloatColumns<WIDTH> turned[TILE];
        fill_float_columns(turned, shares, count);
        for (int64_t panel = 0; panel < panels(); panel++) {
            multiply_float_tile<WIDTH>(reinterpret_cast<const FloatPanelBlock *>(value_panels[panel]), turned, count,
                                       true, all[panel]);
        }
    }

    static void scale(float (&numbers)[FLOAT_ROWS], float factor) {
        for (float &number : numbers) {
            number *= factor;
        }
    }

    void finish(const Unit &unit, int64_t column, int64_t part) {
        const Sums *all = sums + column / COLUMNS * panels();
        for (int64_t panel = 0; panel < panels(); panel++) {
            const int64_t done = panel * FLOAT_ROWS, some = smaller(FLOAT_ROWS, value_size - done);
            memcpy(result + done, all[panel][column % COLUMNS], some * sizeof *result);
        }
        const int64_t row = (unit.stream * op->ne[2] + query_of(unit, column)) * op->ne[1] + head_of(unit, column);
        if (parts == 1) {
            return write(row, softmaxes[column]);
        }
        memcpy(partial(row, part), softmaxes + column, sizeof *softmaxes);
        memcpy(partial(row, part) + sizeof *softmaxes, result, value_size * sizeof *result);
    }

    void merge_parts(int64_t row) {
        Softmax all;
        memset(result, 0, value_size * sizeof *result);
        for (int64_t part = 0; part < parts; part++) {
            Softmax one;
            memcpy(&one, partial(row, part), sizeof one);
            const auto *others = reinterpret_cast<const float *>(partial(row, part) + sizeof one);
            float factor, other_factor;
            all.merge(one, factor, other_factor);
            for (int i = 0; i < value_size; i++) {
                result[i] = result[i] * factor + others[i] * other_factor;
            }
        }
        write(row, all);
    }

    // Writes RESULT as a row of the tensor. A sink is a score without a value.
    void write(int64_t row, Softmax all) {
        float factor = 1, unused;
        if (op->src[4] != nullptr) {
            all.merge({static_cast<const float *>(op->src[4]->data)[row % op->ne[1]], 1}, factor, unused);
        }
        const float share = all.sum > 0 ? factor / all.sum : 0;
        auto *to = reinterpret_cast<float *>(static_cast<char *>(op->data) + row * op->nb[1]);
        for (int i = 0; i < value_size; i++) {
            to[i] = result[i] * share;
        }
    }

    const ggml_tensor *op, *queries, *keys, *values;
    Scaling scaling;
    int threads, key_size, value_size;
    int64_t sharing, queries_at_once, blocks, cells_of_part, parts;
    size_t memory_size;
    // Of a thread.
    FloatColumns<COLUMNS> *columns = nullptr;
    FloatPanelBlock *key_panels = nullptr;
    float (*value_panels)[TILE][FLOAT_ROWS] = nullptr;
    Sums *sums = nullptr;
    Softmax *softmaxes = nullptr;
    float *result = nullptr, *work = nullptr;
    char *partials = nullptr;
};

} // namespace
