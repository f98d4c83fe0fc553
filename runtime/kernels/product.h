// The product of an operation's jobs by all threads.
#pragma once

#include "kinds.h"
#include "operation.h"

#include "ggml-cpu-impl.h"

namespace {

constexpr int MOST_PANELS = 4; // of a thread at once: columns are read again for the next ones; rows are read once
constexpr int SLICE = 512;     // columns that stay in the second-level cache, by parts of their size
constexpr int SMALL = 64;      // columns that stay there as they are: rows are read as they lie in memory

template <class Kind, class Operation> class Product {
  public:
    Product(const ggml_tensor *op, int threads)
        : operation(op, Kind::COLUMNS), rows(op->src[0]->ne[1]), size(static_cast<int>(op->src[0]->ne[0])),
          row_size(op->src[0]->nb[1]), threads(threads) {
        // Enough parts for all threads: the last ones should end together.
        const int64_t share = rows / (PANEL_ROWS * 4 * threads);
        is_small = columns_of(op) <= SMALL;
        panels_at_once = static_cast<int>(is_small ? larger(share, 1) : smaller(larger(share, 1), MOST_PANELS));
    }

    size_t work_size() const {
        return LINE + table_size() + operation.groups() * group_size() + threads * (panel_size() + results_size());
    }

    void multiply(const ggml_compute_params *params) {
        char *memory = reinterpret_cast<char *>(aligned(reinterpret_cast<size_t>(params->wdata)));
        groups = memory + table_size();
        panel = groups + operation.groups() * group_size() + params->ith * (panel_size() + results_size());
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        if (table_size() > 0) {
            if (params->ith == 0) {
                operation.fill_table(memory);
            }
            ggml_barrier(params->threadpool);
            operation.place_table(memory);
        }
        fill_columns(params->ith, params->nth);
        ggml_barrier(params->threadpool);
        const int64_t rows_at_once = panels_at_once * PANEL_ROWS;
        const int64_t parts = (rows + rows_at_once - 1) / rows_at_once;
        for (int64_t unit = params->ith; unit < operation.jobs() * parts;
             unit = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            const int64_t first = unit % parts * rows_at_once;
            multiply_rows(operation.job(unit / parts), first, smaller(rows_at_once, rows - first));
        }
    }

  private:
    static constexpr int PANEL_ROWS = Kind::PANEL_ROWS, COLUMNS = Kind::COLUMNS, NARROW = COLUMNS / 2;
    static_assert(SLICE % COLUMNS == 0);
    using Tile = float (*)[PANEL_ROWS]; // a column of each

    size_t table_size() const { return aligned(operation.table_size()); }
    // First where the results of its columns belong, then their values.
    size_t group_size() const { return LINE + aligned(Kind::group_size(size)); }
    size_t panel_size() const { return aligned(Kind::panel_size(static_cast<int>(smaller(size, Kind::DEPTH)))); }
    size_t results_size() const {
        const int64_t columns = smaller(groups_of(operation.most_columns(), COLUMNS) * COLUMNS, SLICE);
        return aligned((is_small ? 1 : panels_at_once) * columns * PANEL_ROWS * sizeof(float));
    }
    float **results_of(const Job &job, int64_t group) const {
        static_assert(larger(COLUMNS, Kind::ROW_COLUMNS) * sizeof(float *) <= LINE);
        return reinterpret_cast<float **>(groups + (job.group + group) * group_size());
    }
    char *values_of(const Job &job, int64_t group) const { return groups + (job.group + group) * group_size() + LINE; }

    // Calls CALL with COUNT, at most MOST, as a constant.
    template <int MOST, class Call> static void with_few(int64_t count, Call &&call) {
        if constexpr (MOST > 0) {
            if (count == MOST) {
                call.template operator()<MOST>();
            } else {
                with_few<MOST - 1>(count, call);
            }
        }
    }

    // Whether rows are multiplied as they lie in memory, without a panel.
    static bool is_by_rows(const Job &job) { return job.count <= Kind::ROW_COLUMNS; }
    // Columns of a group: for rows, all are one group, in the place of several.
    static int width_of(const Job &job) { return is_by_rows(job) ? static_cast<int>(job.count) : COLUMNS; }

    // Calls CALL with the number of columns of a group, of which LEFT exist, as a constant.
    template <class Call> static void with_width(const Job &job, int64_t left, Call &&call) {
        if (is_by_rows(job)) {
            with_few<Kind::ROW_COLUMNS>(job.count, call);
        } else if (left <= NARROW) {
            call.template operator()<NARROW>();
        } else {
            call.template operator()<COLUMNS>();
        }
    }

    void fill_columns(int thread, int all) {
        for (int64_t number = 0; number < operation.jobs(); number++) {
            const Job job = operation.job(number);
            if (is_by_rows(job) && !Kind::ROWS_NEED_COLUMNS) {
                continue;
            }
            // By groups: two threads would write to one cache line.
            for (int64_t group = 0; group < groups_of(job.count, width_of(job)); group++) {
                if ((job.group + group) % all == thread) {
                    fill_group(job, group);
                }
            }
        }
    }

    void fill_group(const Job &job, int64_t group) {
        const int64_t left = smaller(job.count - group * COLUMNS, width_of(job));
        with_width(job, left, [&]<int WIDTH>() {
            const float *from[WIDTH];
            for (int column = 0; column < WIDTH; column++) {
                // Columns that are missing are copies: what they result in is not used.
                const int64_t place = smaller(column, left - 1);
                const Column values = operation.column(job.first + group * COLUMNS + place);
                from[column] = values.from;
                results_of(job, group)[column] = values.to;
            }
            Kind::template fill_columns<WIDTH>(values_of(job, group), from, size);
        });
    }

    void multiply_rows(const Job &job, int64_t first, int64_t count) {
        const char *weights = job.weights + first * row_size;
        if (is_by_rows(job)) {
            with_few<Kind::ROW_COLUMNS>(job.count,
                                        [&]<int WIDTH>() { multiply_few<WIDTH>(job, weights, first, count); });
        } else {
            multiply_many(job, weights, first, count);
        }
    }

    template <int WIDTH> void multiply_few(const Job &job, const char *weights, int64_t first, int64_t count) {
        const float *from[WIDTH];
        float *to[WIDTH];
        for (int column = 0; column < WIDTH; column++) {
            from[column] = operation.column(job.first + column).from;
            to[column] = operation.column(job.first + column).to + first;
        }
        for (int64_t row = 0; row < count; row += Kind::ROWS_AT_ONCE) {
            Kind::template multiply_row<WIDTH>(weights + row * row_size, values_of(job, 0), from, size, to);
            for (float *&place : to) {
                place += Kind::ROWS_AT_ONCE;
            }
        }
    }

    void multiply_many(const Job &job, const char *weights, int64_t first, int64_t count) {
        for (int64_t slice = 0; slice < job.count; slice += SLICE) {
            const Job part = {job.weights, job.first + slice, smaller(job.count - slice, SLICE),
                              job.group + slice / COLUMNS};
            const int64_t step = is_small ? PANEL_ROWS : count;
            for (int64_t row = 0; row < count; row += step) {
                multiply_slice(part, weights + row * row_size, first + row, smaller(step, count - row));
            }
        }
    }

    // Bytes from the part of rows at ROW and START, which fills a panel, to the one that fills the next: of COUNT rows,
    // then of the same rows further on, then of those behind.
    ptrdiff_t step_to_next(int64_t row, int start, int64_t count) const {
        const auto offset = [&](int64_t at_row, int at_start) {
            return static_cast<ptrdiff_t>(at_row * row_size + Kind::row_offset(at_start));
        };
        int64_t next_row = row + PANEL_ROWS;
        int next_start = start;
        if (next_row >= count && start + Kind::DEPTH < size) {
            next_row = 0;
            next_start = start + Kind::DEPTH;
        } else if (next_row >= count) {
            next_start = 0;
        }
        return offset(next_row, next_start) - offset(row, start);
    }

    // By parts of a row that stay in the fastest cache as a panel, while all columns pass.
    void multiply_slice(const Job &job, const char *weights, int64_t first, int64_t count) {
        Tile results = reinterpret_cast<Tile>(panel + panel_size());
        const int64_t stride = groups_of(job.count, COLUMNS) * COLUMNS;
        for (int start = 0; start < size; start += Kind::DEPTH) {
            const int depth = static_cast<int>(smaller(Kind::DEPTH, size - start));
            for (int64_t row = 0; row < count; row += PANEL_ROWS) {
                Kind::fill_panel(panel, weights + row * row_size + Kind::row_offset(start), row_size,
                                 static_cast<int>(smaller(PANEL_ROWS, count - row)), depth,
                                 step_to_next(row, start, count));
                multiply_panel(job, start, depth, results + row / PANEL_ROWS * stride);
            }
        }
        for (int64_t column = 0; column < job.count; column++) {
            float *to = results_of(job, column / COLUMNS)[column % COLUMNS] + first;
            for (int64_t row = 0; row < count; row += PANEL_ROWS) {
                const float *from = results[row / PANEL_ROWS * stride + column];
                if (count - row >= PANEL_ROWS) {
                    memcpy(to + row, from, PANEL_ROWS * sizeof *to); // of a constant size: no call
                } else {
                    memcpy(to + row, from, (count - row) * sizeof *to);
                }
            }
        }
    }

    void multiply_panel(const Job &job, int start, int depth, Tile results) {
        for (int64_t group = 0; group * COLUMNS < job.count; group++) {
            char *values = values_of(job, group);
            if (job.count - group * COLUMNS <= NARROW) {
                Kind::template multiply<NARROW>(panel, values, start, depth, group_size(), results + group * COLUMNS);
            } else {
                Kind::template multiply<COLUMNS>(panel, values, start, depth, group_size(), results + group * COLUMNS);
            }
        }
    }

    Operation operation;
    int64_t rows;
    int size;
    size_t row_size;
    int threads, panels_at_once;
    bool is_small;
    char *groups = nullptr, *panel = nullptr;
};

} // namespace
