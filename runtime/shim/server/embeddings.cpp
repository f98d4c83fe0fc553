#include "server/embeddings.h"

#include "common.h"
#include "ggml.h"
#include "gguf.h"
#include "speculative.h"

#include <algorithm>
#include <memory>
#include <string>

namespace {

// True if the model's metadata define how the vectors of its tokens are combined.
bool has_pooling(const std::string &model) {
    ggml_log_callback log = nullptr;
    void *log_data = nullptr;
    ggml_log_get(&log, &log_data);
    ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr); // errors are reported when the model is loaded
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> metadata(
        gguf_init_from_file(model.c_str(), {true, nullptr}), gguf_free);
    ggml_log_set(log, log_data);
    if (metadata == nullptr) {
        return true;
    }
    const int64_t key = gguf_find_key(metadata.get(), "general.architecture");
    const bool is_text = key >= 0 && gguf_get_kv_type(metadata.get(), key) == GGUF_TYPE_STRING;
    const std::string name = (is_text ? gguf_get_val_str(metadata.get(), key) : std::string()) + ".pooling_type";
    return gguf_find_key(metadata.get(), name.c_str()) >= 0;
}

// True if tokens are drafted, by a model or otherwise, which the engine cannot combine with embeddings.
bool drafts_tokens(const common_params &params) {
    return common_speculative_n_max(&params.speculative) > 0 || !params.speculative.draft.mparams.path.empty();
}

} // namespace

void enable_embeddings(common_params &params) {
    if (params.model.path.empty() || (!params.embedding && drafts_tokens(params))) {
        return;
    }
    params.embedding = true;
    params.n_batch = std::min(params.n_batch, params.n_ubatch); // a text is embedded in one piece
    if (params.pooling_type == LLAMA_POOLING_TYPE_UNSPECIFIED && !has_pooling(params.model.path)) {
        // OpenAI's API returns one vector for a text. The last token depends on all others; for the mean, the engine
        // cannot plan its memory if each request has its own cache (--parallel).
        params.pooling_type = LLAMA_POOLING_TYPE_LAST;
    }
}
