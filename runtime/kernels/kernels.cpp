// Products of matrices, and attention, for the engine's CPU backend: compiled once for each of its variants.
//
// The engine asks before it computes an operation itself (ggml-cpu/traits.cpp). Weights are used as they are stored, in
// the file or wherever the engine has them, and as the engine has repacked them.

#include "kernels.h"

#if defined(__SSSE3__) || defined(__ARM_FEATURE_DOTPROD)

#include "attention.h"
#include "product.h"

#include "ggml-backend.h"
#include "repack.h"

namespace {

ggml_backend_buffer_t buffer_of(const ggml_tensor *tensor) {
    return tensor->view_src ? tensor->view_src->buffer : tensor->buffer;
}

// In memory that can be read, in an order that is known here.
bool is_readable(const ggml_tensor *weights, bool &is_repacked) {
    const ggml_backend_buffer_t buffer = buffer_of(weights);
    is_repacked = buffer != nullptr && ggml_backend_buffer_get_type(buffer) == ggml_backend_cpu_repack_buffer_type();
    return is_repacked ? weights->extra != nullptr && weights->view_src == nullptr
                       : buffer == nullptr || ggml_backend_buffer_is_host(buffer);
}

bool can_multiply(const ggml_tensor *op, bool &is_repacked) {
    if (op->op != GGML_OP_MUL_MAT && op->op != GGML_OP_MUL_MAT_ID) {
        return false;
    }
    const ggml_tensor *weights = op->src[0], *values = op->src[1];
    if (op->op == GGML_OP_MUL_MAT && ggml_get_op_params_i32(op, 1) == GGML_HINT_SRC0_IS_HADAMARD) {
        return false; // not a product with this matrix
    }
    return is_readable(weights, is_repacked) && values->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32 &&
           weights->ne[0] % ggml_blck_size(weights->type) == 0 && weights->ne[0] < INT32_MAX &&
           weights->nb[0] == ggml_type_size(weights->type) && values->nb[0] == sizeof(float) &&
           op->nb[0] == sizeof(float);
}

// Calls RUN with the product, if there is a kernel for its type, and one that is faster than the engine's functions.
template <class Run> bool with_product(const ggml_tensor *op, int threads, Run &&run) {
    bool is_repacked = false, is_faster = false;
    if (!can_multiply(op, is_repacked)) {
        return false;
    }
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
    if (is_repacked) {
        with_repacked_kind(op->src[0]->type, run_with);
    } else {
        with_kind(op->src[0]->type, run_with);
    }
    return is_faster;
}

} // namespace

bool llamafile_work_size(int threads, const ggml_tensor *op, size_t *size) {
    if (Attention::can_compute(op)) {
        *size = Attention(op, threads).work_size();
        return true;
    }
    return with_product(op, threads, [&](const auto &product) { *size = product.work_size(); });
}

bool llamafile_compute(const ggml_compute_params *params, const ggml_tensor *op) {
    if (params->use_ref) {
        return false;
    }
    if (Attention::can_compute(op)) {
        Attention(op, params->nth).compute(params);
        return true;
    }
    return with_product(op, params->nth, [&](auto &&product) { product.multiply(params); });
}

#else // processors for which the engine's own functions are used

bool llamafile_work_size(int, const ggml_tensor *, size_t *) {
    return false;
}

bool llamafile_compute(const ggml_compute_params *, const ggml_tensor *) {
    return false;
}

#endif
