// Compares products of the kernels with those of a loop in double precision, over random shapes, and prints for each
// type how many shapes the kernels computed, and the largest difference: relative to the lengths of the two vectors.

#include "computing.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

// What weights and values are made of: numbers like those of models, extremes, or mostly zeros.
enum class Numbers { NORMAL, SIGNS, SPARSE };

std::vector<float> numbers(size_t count, Numbers kind) {
    std::normal_distribution<float> normal;
    std::vector<float> made(count);
    for (float &number : made) {
        const float value = normal(random_number);
        number = kind == Numbers::NORMAL  ? value
                 : kind == Numbers::SIGNS ? std::copysign(3.0F, value)
                 : value > 2              ? value
                                          : 0;
    }
    return made;
}

struct Shape {
    ggml_type type;
    int size, rows, columns; // of weights, and of values
    int matrices, shared;    // of weights, and how many of the values each is multiplied with
    int experts, chosen;     // 0 for a plain product
    int threads;
    Numbers kind;
    bool is_repacked;
};

// The values as kernels see them: quantized in blocks of SIZE, unless weights are in floating point.
std::vector<float> quantized(const std::vector<float> &values, size_t size) {
    std::vector<float> result(values.size());
    for (size_t block = 0; block < values.size(); block += size) {
        float largest = 0;
        for (size_t i = 0; i < size; i++) {
            largest = std::max(largest, std::fabs(values[block + i]));
        }
        const float scale = largest / 127, inverse = largest > 0 ? 127 / largest : 0;
        for (size_t i = 0; i < size; i++) {
            result[block + i] = scale * std::nearbyint(values[block + i] * inverse);
        }
    }
    return result;
}

// The values as kernels see them where the processor multiplies bfloat16.
std::vector<float> rounded(const std::vector<float> &values) {
    std::vector<ggml_bf16_t> halves(values.size());
    std::vector<float> result(values.size());
    ggml_fp32_to_bf16_row_ref(values.data(), halves.data(), static_cast<int64_t>(values.size()));
    ggml_bf16_to_fp32_row(halves.data(), result.data(), static_cast<int64_t>(values.size()));
    return result;
}

double difference(const float *weights, const float *values, int size, float product) {
    double sum = 0, weight_length = 0, value_length = 0;
    for (int i = 0; i < size; i++) {
        sum += static_cast<double>(weights[i]) * values[i];
        weight_length += static_cast<double>(weights[i]) * weights[i];
        value_length += static_cast<double>(values[i]) * values[i];
    }
    const double length = std::sqrt(weight_length * value_length);
    return std::isfinite(product) ? std::fabs(sum - product) / (length + 1e-30) : INFINITY;
}

// The largest difference; below zero if the engine computes products of this shape.
double check(const Shape &shape) {
    const bool has_experts = shape.experts > 0;
    const int matrices = has_experts ? shape.experts : shape.matrices;
    const int vectors = has_experts ? shape.columns : shape.columns * matrices * shape.shared;
    std::vector<float> weights = numbers(static_cast<size_t>(matrices) * shape.rows * shape.size, shape.kind);
    const std::vector<float> values = numbers(static_cast<size_t>(vectors) * shape.size, shape.kind);

    ggml_context *context = ggml_init({static_cast<size_t>(64) << 20, nullptr, false});
    ggml_tensor *matrix = ggml_new_tensor_3d(context, shape.type, shape.size, shape.rows, matrices);
    if (shape.type == GGML_TYPE_F32) {
        memcpy(matrix->data, weights.data(), ggml_nbytes(matrix));
    } else {
        ggml_quantize_chunk(shape.type, weights.data(), matrix->data, 0, static_cast<int64_t>(shape.rows) * matrices,
                            shape.size, nullptr);
        ggml_get_type_traits(shape.type)->to_float(matrix->data, weights.data(), static_cast<int64_t>(weights.size()));
    }
    if (shape.is_repacked) {
        repack(matrix);
    }
    ggml_tensor *input = ggml_new_tensor_3d(context, GGML_TYPE_F32, shape.size, has_experts ? 1 : shape.columns,
                                            has_experts ? shape.columns : matrices * shape.shared);
    memcpy(input->data, values.data(), ggml_nbytes(input));
    ggml_tensor *op = nullptr;
    std::vector<int32_t> choices;
    if (has_experts) {
        ggml_tensor *ids = ggml_new_tensor_2d(context, GGML_TYPE_I32, shape.chosen, shape.columns);
        for (int i = 0; i < shape.chosen * shape.columns; i++) {
            choices.push_back((between(0, shape.experts - 1) + i) % shape.experts);
        }
        memcpy(ids->data, choices.data(), ggml_nbytes(ids));
        op = ggml_mul_mat_id(context, matrix, input, ids);
    } else {
        op = ggml_mul_mat(context, matrix, input);
    }
    if (!compute(op, shape.threads)) {
        ggml_free(context);
        return -1;
    }

    const std::vector<float> seen =
        ggml_is_quantized(shape.type) ? quantized(values, ggml_blck_size(shape.type)) : values;
    // Panels of bfloat16 are multiplied with rounded values, rows with exact ones.
    const std::vector<float> others = shape.type == GGML_TYPE_BF16 ? rounded(values) : seen;
    const auto *products = static_cast<const float *>(op->data);
    double worst = 0;
    for (int64_t column = 0; column < ggml_nrows(op); column++) {
        const int64_t vector = has_experts ? column / shape.chosen : column;
        const int64_t chosen = has_experts ? choices[column] : vector / shape.columns / shape.shared;
        for (int row = 0; row < shape.rows; row++) {
            const float *row_weights = &weights[(chosen * shape.rows + row) * shape.size];
            const float product = products[column * shape.rows + row];
            worst =
                std::max(worst, std::min(difference(row_weights, &seen[vector * shape.size], shape.size, product),
                                         difference(row_weights, &others[vector * shape.size], shape.size, product)));
        }
    }
    ggml_free(context);
    return worst;
}

Shape random_shape(ggml_type type, bool is_repacked, int number) {
    const int block = static_cast<int>(ggml_blck_size(type));
    Shape shape{type,
                block * between(1, block == 256  ? 6
                                   : block == 32 ? 40
                                                 : 300),
                between(1, 80),
                between(1, number % 2 == 0 ? 4 : 40),
                between(1, 3),
                between(1, 3),
                0,
                0,
                between(1, 3),
                static_cast<Numbers>(number % 3),
                is_repacked};
    if (number % 10 == 9) { // more columns than a thread takes at once
        shape.size = block * (block == 1 ? 40 : 1);
        shape.rows = between(1, 10);
        shape.columns = between(510, 560);
        shape.matrices = 1;
    }
    if (number % 4 == 3) {
        shape.experts = between(2, 9);
        shape.chosen = between(1, 2);
    }
    if (is_repacked) {
        shape.rows *= repacking::ROWS;
    }
    return shape;
}

void check_type(ggml_type type, bool is_repacked, int shapes) {
    double worst = 0;
    int computed = 0;
    for (int i = 0; i < shapes; i++) {
        const double found = check(random_shape(type, is_repacked, i));
        computed += found >= 0 ? 1 : 0;
        worst = std::max(worst, found);
    }
    printf("%s%s %d %g\n", ggml_type_name(type), is_repacked ? "_repacked" : "", computed, worst);
}

} // namespace

int main(int, char **arguments) {
    const int shapes = atoi(arguments[1]);
    for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1,
                                 GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
                                 GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16}) {
        check_type(type, false, shapes);
    }
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_IQ4_NL}) {
        check_type(type, true, shapes / 2);
    }
}
