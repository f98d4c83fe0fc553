// GGML_OP_MUL_MAT and GGML_OP_MUL_MAT_ID as a list of jobs: one matrix of weights, and the columns to multiply with it.
#pragma once

#include "ggml.h"

#include <cstddef>
#include <cstdint>

namespace {

struct Job {
    const char *weights;
    int64_t first; // of its columns
    int64_t count; // of them
    int64_t group; // the first of the groups in which they are stored
};

struct Column {
    const float *from;
    float *to;
};

constexpr int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

constexpr int64_t larger(int64_t a, int64_t b) {
    return a < b ? b : a;
}

constexpr int64_t groups_of(int64_t columns, int width) {
    return (columns + width - 1) / width;
}

inline const float *floats_at(const ggml_tensor *tensor, int64_t i1, int64_t i2, int64_t i3) {
    const char *data = static_cast<const char *>(tensor->data);
    return reinterpret_cast<const float *>(data + i1 * tensor->nb[1] + i2 * tensor->nb[2] + i3 * tensor->nb[3]);
}

// The columns that a matrix is multiplied with: of chosen ones, the average.
inline int64_t columns_of(const ggml_tensor *op) {
    const int64_t matrices = op->src[0]->ne[2] * op->src[0]->ne[3];
    return op->op == GGML_OP_MUL_MAT ? ggml_nrows(op->src[1]) / matrices : ggml_nelements(op->src[2]) / matrices + 1;
}

// A product of matrices. Heads of attention that share their keys are columns of one job: keys are read once.
class Plain {
  public:
    Plain(const ggml_tensor *op, int width) : op(op), weights(op->src[0]), values(op->src[1]), width(width) {}

    int64_t jobs() const { return weights->ne[2] * weights->ne[3]; }
    int64_t most_columns() const { return columns(); } // of a job
    int64_t groups() const { return jobs() * groups_of(columns(), width); }
    size_t table_size() const { return 0; }
    void fill_table(char *) const {}
    void place_table(char *) const {}

    Job job(int64_t number) const {
        const char *matrix = static_cast<const char *>(weights->data);
        matrix += number % weights->ne[2] * weights->nb[2] + number / weights->ne[2] * weights->nb[3];
        return {matrix, number * columns(), columns(), number * groups_of(columns(), width)};
    }

    Column column(int64_t number) const {
        const int64_t matrix = number / columns(), place = number % columns();
        const int64_t i1 = place % values->ne[1], share = place / values->ne[1];
        const int64_t i2 = matrix % weights->ne[2] * heads() + share % heads();
        const int64_t i3 = matrix / weights->ne[2] * (values->ne[3] / weights->ne[3]) + share / heads();
        return {floats_at(values, i1, i2, i3), const_cast<float *>(floats_at(op, i1, i2, i3))};
    }

  private:
    int64_t heads() const { return values->ne[2] / weights->ne[2]; }
    int64_t columns() const { return ggml_nrows(values) / jobs(); }

    const ggml_tensor *op, *weights, *values;
    int width;
};

// A product with chosen matrices: each token is a column of several experts.
class Chosen {
  public:
    Chosen(const ggml_tensor *op, int width)
        : op(op), weights(op->src[0]), values(op->src[1]), ids(op->src[2]), width(width) {}

    int64_t jobs() const { return *count; }
    int64_t most_columns() const { return ggml_nelements(ids); }
    int64_t groups() const {
        const int64_t limit = ggml_nelements(ids) / width + weights->ne[2];
        return limit < ggml_nelements(ids) ? limit : ggml_nelements(ids);
    }
    size_t table_size() const {
        return sizeof *count + weights->ne[2] * (sizeof *table + sizeof *starts) +
               ggml_nelements(ids) * sizeof *choices;
    }

    // Finds the table in MEMORY, of table_size() bytes.
    void place_table(char *memory) {
        count = reinterpret_cast<int64_t *>(memory);
        starts = count + 1;
        table = reinterpret_cast<Job *>(starts + weights->ne[2]);
        choices = reinterpret_cast<int32_t *>(table + weights->ne[2]);
    }

    void fill_table(char *memory) {
        place_table(memory);
        const int64_t experts = weights->ne[2];
        for (int64_t expert = 0; expert < experts; expert++) {
            starts[expert] = 0;
        }
        for (int64_t choice = 0; choice < ggml_nelements(ids); choice++) {
            starts[expert_of(choice)]++;
        }
        int64_t first = 0, group = 0;
        *count = 0;
        for (int64_t expert = 0; expert < experts; expert++) {
            const int64_t columns = starts[expert];
            starts[expert] = first;
            if (columns > 0) {
                const char *matrix = static_cast<const char *>(weights->data) + expert * weights->nb[2];
                table[(*count)++] = {matrix, first, columns, group};
                first += columns;
                group += groups_of(columns, width);
            }
        }
        for (int64_t choice = 0; choice < ggml_nelements(ids); choice++) {
            choices[starts[expert_of(choice)]++] = static_cast<int32_t>(choice);
        }
    }

    Job job(int64_t number) const { return table[number]; }

    Column column(int64_t number) const {
        const int64_t slot = choices[number] % ids->ne[0], token = choices[number] / ids->ne[0];
        return {floats_at(values, slot % values->ne[1], token, 0), const_cast<float *>(floats_at(op, slot, token, 0))};
    }

  private:
    int32_t expert_of(int64_t choice) const {
        const char *data = static_cast<const char *>(ids->data);
        data += choice % ids->ne[0] * ids->nb[0] + choice / ids->ne[0] * ids->nb[1];
        return *reinterpret_cast<const int32_t *>(data);
    }

    const ggml_tensor *op, *weights, *values, *ids;
    int width;
    int64_t *count = nullptr, *starts = nullptr;
    Job *table = nullptr;
    int32_t *choices = nullptr;
};

} // namespace
