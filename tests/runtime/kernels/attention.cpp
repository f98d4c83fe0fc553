// Compares attention by the kernels with that of a loop in double precision, over random shapes, and prints for each
// type of cache the largest difference: relative to the largest value.

#include "computing.h"

#include <cmath>
#include <cstring>

namespace {

struct Shape {
    int key_size, value_size;
    int cells, queries, heads, sharing, streams; // SHARING heads of queries have one head of keys
    int threads;
    float bias, cap;
    bool has_mask, has_sinks, is_large; // large scores: nearly all weight is on one cell
};

// Rows of numbers as TYPE has them, and what they are in floating point.
struct Rows {
    ggml_tensor *tensor;
    std::vector<float> numbers;
    int64_t size;

    Rows(ggml_context *context, ggml_type type, int size, int rows, int heads, int streams, float spread)
        : tensor(ggml_new_tensor_4d(context, type, size, heads, rows, streams)),
          numbers(static_cast<size_t>(ggml_nelements(tensor))), size(size) {
        std::normal_distribution<float> normal(0, spread);
        for (float &number : numbers) {
            number = normal(random_number);
        }
        if (type == GGML_TYPE_F32) {
            memcpy(tensor->data, numbers.data(), ggml_nbytes(tensor));
        } else {
            ggml_quantize_chunk(type, numbers.data(), tensor->data, 0, ggml_nrows(tensor), size, nullptr);
            ggml_get_type_traits(type)->to_float(tensor->data, numbers.data(), static_cast<int64_t>(numbers.size()));
        }
    }
    // As the engine has them: the heads of a cell lie side by side.
    ggml_tensor *view(ggml_context *context) const { return ggml_permute(context, tensor, 0, 2, 1, 3); }
    const float *at(int64_t row, int64_t head, int64_t stream) const {
        return &numbers[((stream * tensor->ne[2] + row) * tensor->ne[1] + head) * size];
    }
};

// The mask hides the cells of others, and the later ones; some queries see no cell at all.
std::vector<float> random_mask(const Shape &shape) {
    std::vector<float> mask;
    for (int row = 0; row < shape.queries * shape.streams; row++) {
        const int first = between(0, shape.cells - 1), last = between(0, 9) == 0 ? 0 : between(first, shape.cells);
        for (int cell = 0; cell < shape.cells; cell++) {
            const bool is_seen = cell >= first && cell < last && between(0, 4) > 0;
            mask.push_back(is_seen ? 0.25F * static_cast<float>(between(-4, 0)) : -INFINITY);
        }
    }
    return mask;
}

double slope(const Shape &shape, int head) {
    const int power = 1 << static_cast<int>(std::log2(shape.heads));
    return shape.bias == 0 ? 1
           : head < power  ? std::pow(2.0, -shape.bias / power * (head + 1))
                           : std::pow(2.0, -shape.bias / 2 / power * (2 * (head - power) + 1));
}

// One row of the result.
std::vector<double> attend(const Shape &shape, const float *query, const Rows &keys, const Rows &values,
                           const float *mask, float sink, int head, int stream) {
    std::vector<double> scores, result(shape.value_size);
    double greatest = shape.has_sinks ? sink : -INFINITY;
    for (int cell = 0; cell < shape.cells; cell++) {
        const float *key = keys.at(cell, head / shape.sharing, stream);
        double score = 0;
        for (int i = 0; i < shape.key_size; i++) {
            score += static_cast<double>(query[i]) * key[i];
        }
        score /= std::sqrt(shape.key_size);
        score = shape.cap == 0 ? score : shape.cap * std::tanh(score / shape.cap);
        scores.push_back(score + (mask == nullptr ? 0 : slope(shape, head) * mask[cell]));
        greatest = std::max(greatest, scores.back());
    }
    double sum = shape.has_sinks ? std::exp(sink - greatest) : 0;
    for (int cell = 0; cell < shape.cells; cell++) {
        const double share = scores[cell] == -INFINITY ? 0 : std::exp(scores[cell] - greatest);
        sum += share;
        for (int i = 0; i < shape.value_size; i++) {
            result[i] += share * values.at(cell, head / shape.sharing, stream)[i];
        }
    }
    for (double &number : result) {
        number = sum == 0 ? 0 : number / sum;
    }
    return result;
}

// The largest difference; infinite if the kernels do not compute it.
double check(ggml_type key_type, ggml_type value_type, const Shape &shape) {
    ggml_context *context = ggml_init({static_cast<size_t>(256) << 20, nullptr, false});
    const int heads = shape.heads / shape.sharing;
    const float spread = shape.is_large ? 20 : 1;
    const Rows queries(context, GGML_TYPE_F32, shape.key_size, shape.queries, shape.heads, shape.streams, spread);
    const Rows keys(context, key_type, shape.key_size, shape.cells, heads, shape.streams, 1);
    const Rows values(context, value_type, shape.value_size, shape.cells, heads, shape.streams, 1);
    std::vector<float> seen = random_mask(shape), sinks(shape.heads, 1.5F);
    ggml_tensor *mask = nullptr;
    if (shape.has_mask) {
        mask = ggml_new_tensor_4d(context, GGML_TYPE_F16, shape.cells, shape.queries, 1, shape.streams);
        ggml_fp32_to_fp16_row(seen.data(), static_cast<ggml_fp16_t *>(mask->data), static_cast<int64_t>(seen.size()));
    }
    const float scale = 1 / std::sqrt(static_cast<float>(shape.key_size));
    ggml_tensor *op = ggml_flash_attn_ext(context, queries.view(context), keys.view(context), values.view(context),
                                          mask, scale, shape.bias, shape.cap);
    if (shape.has_sinks) {
        ggml_tensor *tensor = ggml_new_tensor_1d(context, GGML_TYPE_F32, shape.heads);
        memcpy(tensor->data, sinks.data(), ggml_nbytes(tensor));
        ggml_flash_attn_ext_add_sinks(op, tensor);
    }
    double worst = compute(op, shape.threads) ? 0 : INFINITY, greatest = 1e-30;
    const auto *results = static_cast<const float *>(op->data);
    for (int row = 0; row < shape.streams * shape.queries * shape.heads; row++) {
        const int head = row % shape.heads, token = row / shape.heads;
        const float *hidden = shape.has_mask ? &seen[static_cast<size_t>(token) * shape.cells] : nullptr;
        const std::vector<double> right = attend(shape, queries.at(token % shape.queries, head, token / shape.queries),
                                                 keys, values, hidden, sinks[head], head, token / shape.queries);
        for (int i = 0; i < shape.value_size; i++) {
            const float found = results[static_cast<size_t>(row) * shape.value_size + i];
            worst = std::max(worst, std::isfinite(found) ? std::fabs(found - right[i]) : INFINITY);
            greatest = std::max(greatest, std::fabs(right[i]));
        }
    }
    ggml_free(context);
    return worst / greatest;
}

Shape random_shape(int block, int number) {
    const int sharing = between(1, 5);
    const bool has_blocks = block > 1;
    Shape shape{has_blocks ? block * between(1, 4) : 8 * between(1, 12) + (number % 3 == 0 ? 4 : 0),
                has_blocks ? block * between(1, 4) : 8 * between(1, 12),
                between(1, number % 2 == 0 ? 90 : 700),
                between(1, number % 3 == 0 ? 3 : 70),
                sharing * between(1, 3),
                sharing,
                between(1, 3),
                between(1, 3),
                number % 5 == 4 ? 8.0F : 0.0F,
                number % 7 == 6 ? 30.0F : 0.0F,
                number % 6 != 0,
                number % 4 == 1,
                number % 4 == 2};
    shape.has_mask |= shape.bias > 0; // which is a factor of the mask
    if (number % 8 == 7) {            // as many cells as several threads share, for one query
        shape.cells = between(2000, 3000);
        shape.queries = 1;
    }
    return shape;
}

} // namespace

int main(int, char **arguments) {
    const int shapes = atoi(arguments[1]);
    const ggml_type types[][2] = {{GGML_TYPE_F16, GGML_TYPE_F16},   {GGML_TYPE_F32, GGML_TYPE_F32},
                                  {GGML_TYPE_BF16, GGML_TYPE_BF16}, {GGML_TYPE_Q8_0, GGML_TYPE_Q8_0},
                                  {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}, {GGML_TYPE_Q5_1, GGML_TYPE_F16}};
    for (const auto &[key, value] : types) {
        double worst = 0;
        for (int i = 0; i < shapes; i++) {
            const int block = static_cast<int>(std::max(ggml_blck_size(key), ggml_blck_size(value)));
            worst = std::max(worst, check(key, value, random_shape(block, i)));
        }
        printf("%s/%s %g\n", ggml_type_name(key), ggml_type_name(value), worst);
    }
}
