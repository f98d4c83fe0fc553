// Products of matrices, for the engine's CPU backend: compiled once for each of its variants.
//
// The engine asks before it computes an operation itself (ggml-cpu/traits.cpp). Weights are used as they are stored, in
// the file or wherever the engine has them, and as the engine has repacked them.

#include "kernels.h"

#if defined(__SSSE3__) || defined(__ARM_FEATURE_DOTPROD)

#include "product.h"

#include "ggml-backend.h"
#include "repack.h"

namespace {

ggml_backend_buffer_t buffer_of(const ggml_tensor *tensor) {
    return tensor->view_src ? tensor->view_src->buffer : tensor->buffer;
}

bool is_repacked(const ggml_tensor *weights) {
    const ggml_backend_buffer_t buffer = buffer_of(weights);
    return buffer != nullptr && ggml_backend_buffer_get_type(buffer) == ggml_backend_cpu_repack_buffer_type();
}

// In memory that can be read, in an order that is known here.
bool is_readable(const ggml_tensor *weights) {
    const ggml_backend_buffer_t buffer = buffer_of(weights);
    return buffer == nullptr || ggml_backend_buffer_is_host(buffer) ||
           (is_repacked(weights) && weights->extra != nullptr && weights->view_src == nullptr);
}

bool can_multiply(const ggml_tensor *op) {
    if (op->op != GGML_OP_MUL_MAT && op->op != GGML_OP_MUL_MAT_ID) {
        return false;
    }
    const ggml_tensor *weights = op->src[0], *values = op->src[1];
    if (op->op == GGML_OP_MUL_MAT && ggml_get_op_params_i32(op, 1) == GGML_HINT_SRC0_IS_HADAMARD) {
        return false; // not a product with this matrix
    }
    return is_readable(weights) && values->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32 &&
           weights->ne[0] % ggml_blck_size(weights->type) == 0 && weights->ne[0] < INT32_MAX &&
           weights->nb[0] == ggml_type_size(weights->type) && values->nb[0] == sizeof(float) &&
           op->nb[0] == sizeof(float);
}

// The columns that a matrix is multiplied with: of chosen ones, the average.
int64_t columns_of(const ggml_tensor *op) {
    const int64_t matrices = op->src[0]->ne[2] * op->src[0]->ne[3];
    return op->op == GGML_OP_MUL_MAT ? ggml_nrows(op->src[1]) / matrices : ggml_nelements(op->src[2]) / matrices + 1;
}

// Calls RUN with the product, if there is a kernel for its type, and one that is faster than the engine's functions.
template <class Run> bool with_product(const ggml_tensor *op, int threads, Run &&run) {
    bool is_faster = false;
    const auto run_with = [&]<class Kind>(Kind) {
        is_faster = Kind::is_faster(columns_of(op));
        if (!is_faster) {
            return;
        }
        if (op->op == GGML_OP_MUL_MAT) {
            run(Product<Kind, Plain>(op, threads));
        } else {
            run(Product<Kind, Chosen>(op, threads));
        }
    };
    if (is_repacked(op->src[0])) {
        with_repacked_kind(op->src[0]->type, run_with);
    } else {
        with_kind(op->src[0]->type, run_with);
    }
    return is_faster;
}

} // namespace

bool llamafile_product_size(int threads, const ggml_tensor *op, size_t *size) {
    return can_multiply(op) && with_product(op, threads, [&](const auto &product) { *size = product.work_size(); });
}

bool llamafile_multiply(const ggml_compute_params *params, const ggml_tensor *op) {
    return !params->use_ref && can_multiply(op) &&
           with_product(op, params->nth, [&](auto &&product) { product.multiply(params); });
}

#else // processors for which the engine's own functions are used

bool llamafile_product_size(int, const ggml_tensor *, size_t *) {
    return false;
}

bool llamafile_multiply(const ggml_compute_params *, const ggml_tensor *) {
    return false;
}

#endif
