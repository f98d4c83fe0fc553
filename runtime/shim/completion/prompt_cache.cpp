#include "completion/prompt_cache.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/message.h"
#include "base/user_error.h"
#include "engine/engine_log.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

extern "C" std::FILE *ggml_fopen(const char *path, const char *mode); // opens members too (hooks/member_file.cpp)

namespace {

constexpr size_t DIGEST_SIZE = 4;

// The digest and SIZE, in the form of tokens.
std::vector<llama_token> as_tokens(const Digest &digest, uint64_t size) {
    const uint64_t value = digest.value();
    std::vector<llama_token> result(DIGEST_SIZE);
    std::memcpy(result.data(), &value, sizeof value);
    std::memcpy(result.data() + 2, &size, sizeof size);
    return result;
}

// Adds a sample of the weights, to avoid reading all of them.
void add_sample(Digest &digest, const std::string &path, uint64_t size) {
    constexpr uint64_t SAMPLES = 16;
    const File file(ggml_fopen(path.c_str(), "rb"));
    char block[4096];
    for (uint64_t i = 0; file != nullptr && i < SAMPLES; ++i) {
        digest.add(block, std::fread(block, 1, sizeof block, file.get()));
        skip(file.get(), size / SAMPLES);
    }
}

std::vector<llama_token> digest_of(const common_params &params, const llama_model *model) {
    Digest digest;
    const llama_vocab *vocabulary = llama_model_get_vocab(model);
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocabulary); ++token) {
        digest.add(llama_vocab_get_text(vocabulary, token));
    }
    std::string text(4096, '\0');
    for (int i = 0; i < llama_model_meta_count(model); ++i) {
        const int size = llama_model_meta_val_str_by_index(model, i, text.data(), text.size());
        digest.add(text.data(), std::min(text.size(), static_cast<size_t>(std::max(size, 0))));
    }
    digest.add_number(llama_model_n_params(model));
    add_sample(digest, params.model.path, llama_model_size(model));
    digest.add_number(params.rope_freq_base);
    digest.add_number(params.rope_freq_scale);
    for (const common_adapter_lora_info &adapter : params.lora_adapters) {
        digest.add(adapter.path);
        digest.add_number(adapter.scale);
    }
    for (const common_control_vector_load_info &vector : params.control_vectors) {
        digest.add(vector.fname);
        digest.add_number(vector.strength);
    }
    return as_tokens(digest, llama_model_size(model));
}

} // namespace

PromptCache::PromptCache(const common_params &params, llama_context *context)
    : context(context), path(params.path_prompt_cache), all(params.prompt_cache_all),
      is_read_only(params.prompt_cache_ro) {
    if (is_wanted()) {
        digest = digest_of(params, llama_get_model(context));
    }
}

// True if the file is a prompt cache; false if it is missing or empty.
bool PromptCache::is_cache() const {
    errno = ENOENT;
    const File file = open_file(path, "rb");
    if (file == nullptr) {
        if (errno == ENOENT) {
            return false;
        }
        throw UserError("cannot read the prompt cache '" + path + "': " + std::strerror(errno));
    }
    uint32_t magic = 0;
    errno = 0;
    const size_t size = std::fread(&magic, 1, sizeof magic, file.get());
    const int reason = std::ferror(file.get()) != 0 ? errno : 0;
    if (reason != 0) {
        throw UserError("cannot read the prompt cache '" + path + "': " + std::strerror(reason));
    }
    if (size != 0 && magic != LLAMA_SESSION_MAGIC) {
        throw UserError("'" + path +
                        "' is no prompt cache, and is left alone; name another file with"
                        " --prompt-cache");
    }
    return size != 0;
}

std::vector<llama_token> PromptCache::discard(const std::string &reason) {
    llama_memory_clear(llama_get_memory(context), true);
    log_line("the prompt cache '" + path + "' is not used: " + reason);
    return {};
}

std::vector<llama_token> PromptCache::load() {
    if (!is_wanted() || !is_cache()) {
        return {};
    }
    std::vector<llama_token> tokens(digest.size() + llama_n_ctx(context));
    size_t count = 0;
    if (!llama_state_load_file(context, path.c_str(), tokens.data(), tokens.size(), &count)) {
        return discard(first_engine_error());
    }
    tokens.resize(count);
    if (count < digest.size() || !std::equal(digest.begin(), digest.end(), tokens.begin())) {
        return discard("another model made it, or this one with other options");
    }
    tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(digest.size()));
    const llama_pos end = llama_memory_seq_pos_max(llama_get_memory(context), 0) + 1;
    const auto vocabulary_size = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
    const bool good = std::all_of(tokens.begin(), tokens.end(),
                                  [&](llama_token token) { return token >= 0 && token < vocabulary_size; });
    if (!good || static_cast<size_t>(end) != tokens.size()) {
        return discard("it is damaged");
    }
    return tokens;
}

void PromptCache::save(const std::vector<llama_token> &tokens) {
    if (!is_wanted() || is_read_only) {
        return;
    }
    std::vector<llama_token> content = digest;
    content.insert(content.end(), tokens.begin(), tokens.end());
    if (!llama_state_save_file(context, path.c_str(), content.data(), content.size())) {
        log_line("cannot write the prompt cache '" + path + "': " + first_engine_error());
    }
}
