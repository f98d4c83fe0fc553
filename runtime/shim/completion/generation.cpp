#include "completion/generation.h"

#include "base/user_error.h"
#include "engine/engine_log.h"
#include "mtmd-helper.h"

#include <algorithm>

namespace {

[[noreturn]] void fail_to_compute() {
    const std::string error = first_engine_error();
    throw UserError("the engine could not compute the next token" + (error.empty() ? "" : ": " + error));
}

} // namespace

Generation::Generation(const common_params &params, common_init_result &engine)
    : params(params), context(engine.context()), model(engine.model()), vocabulary(llama_model_get_vocab(model)),
      beginning_sampler(engine.sampler(0)), window(params, context), cache(params, context) {
    if (beginning_sampler == nullptr) {
        const std::string error = first_engine_error();
        throw UserError("the grammar cannot be used" + (error.empty() ? "" : ": " + error));
    }
    reset_sampling();
}

std::vector<llama_token> Generation::tokenize(const std::string &text, bool has_special) const {
    return common_tokenize(vocabulary, text, false, has_special);
}

std::string Generation::piece(llama_token token) const {
    return common_token_to_piece(context, token, params.special);
}

llama_token Generation::beginning() const {
    return llama_vocab_bos(vocabulary);
}

bool Generation::is_end(llama_token token) const {
    return llama_vocab_is_eog(vocabulary, token);
}

void Generation::check_length(size_t count) const {
    if (count >= window.size()) {
        throw UserError("the prompt has " + std::to_string(count) + " tokens, but the context holds only " +
                        std::to_string(window.size()) + "; give a larger one with -c");
    }
}

std::string Generation::begin(const std::string &text) {
    known = cache.load();
    std::vector<llama_token> prompt = common_tokenize(vocabulary, text, true, true);
    if (text.empty() && !known.empty()) {
        prompt = known;
    }
    if (prompt.empty()) {
        throw UserError("the prompt is empty and this model begins with no token of its own; give one with"
                        " -p or -f");
    }
    check_length(prompt.size());
    for (const llama_token token : prompt) {
        common_sampler_accept(sampler.get(), token, false); // for penalties; a grammar does not apply to the prompt
    }
    pending = prompt;
    if (llama_model_has_encoder(model)) {
        encode(pending);
        return text;
    }
    is_uncached = reuse(prompt) + 1 < prompt.size() && cache.is_wanted();
    window.keep(params.n_keep < 0 ? -1 : params.n_keep + llama_vocab_get_add_bos(vocabulary), prompt.size());
    return text.empty() ? common_detokenize(vocabulary, prompt, params.special) : text;
}

// Keeps the common prefix of PROMPT and the memory, makes the rest of PROMPT pending, and returns the prefix's length.
size_t Generation::reuse(const std::vector<llama_token> &prompt) {
    const size_t most = std::min(known.size(), prompt.size() - 1);
    const auto end = prompt.begin() + static_cast<std::ptrdiff_t>(most);
    auto common = static_cast<size_t>(std::mismatch(prompt.begin(), end, known.begin()).first - prompt.begin());
    llama_memory_t memory = llama_get_memory(context);
    if (common < known.size() && !llama_memory_seq_rm(memory, 0, static_cast<llama_pos>(common), -1)) {
        llama_memory_clear(memory, true); // a recurrent memory cannot be truncated
        common = 0;
    }
    known.resize(common);
    window.set_used(common);
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(common));
    return common;
}

void Generation::begin(mtmd_context *projector, const mtmd_input_chunks *chunks) {
    const size_t count = mtmd_helper_get_n_tokens(chunks);
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks); ++i) {
        size_t size = 0;
        const llama_token *tokens = mtmd_input_chunk_get_tokens_text(mtmd_input_chunks_get(chunks, i), &size);
        for (size_t j = 0; tokens != nullptr && j < size; ++j) {
            common_sampler_accept(sampler.get(), tokens[j], false);
        }
    }
    llama_pos end = 0;
    if (mtmd_helper_eval_chunks(projector, context, chunks, 0, 0, params.n_batch, true, &end) != 0) {
        fail_to_compute();
    }
    is_cacheable = false;
    window.set_used(count);
    window.keep(params.n_keep < 0 ? -1 : params.n_keep + llama_vocab_get_add_bos(vocabulary), count);
}

// A model with an encoder computes the prompt there; its decoder starts with a special token.
void Generation::encode(std::vector<llama_token> &tokens) {
    if (llama_encode(context, llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size()))) != 0) {
        fail_to_compute();
    }
    const llama_token start = llama_model_decoder_start_token(model);
    tokens = {start == LLAMA_TOKEN_NULL ? llama_vocab_bos(vocabulary) : start};
    is_cacheable = false;
}

void Generation::evaluate(std::vector<llama_token> &tokens) {
    const auto batch_size = static_cast<size_t>(llama_n_batch(context));
    for (size_t at = 0; at < tokens.size(); at += batch_size) {
        const auto count = static_cast<int32_t>(std::min(batch_size, tokens.size() - at));
        if (llama_decode(context, llama_batch_get_one(&tokens[at], count)) != 0) {
            fail_to_compute();
        }
    }
    window.set_used(window.used() + tokens.size());
    known.insert(known.end(), tokens.begin(), tokens.end());
}

void Generation::prepare() {
    if (pending.size() > 1 && window.make_room(pending.size())) {
        const llama_token last = pending.back();
        pending.pop_back();
        evaluate(pending);
        pending = {last};
    }
    if (is_uncached) {
        cache.save(known); // without the last token, whose computation yields the next one
        is_uncached = false;
    }
}

bool Generation::add(const std::vector<llama_token> &tokens) {
    if (pending.size() + tokens.size() >= window.size()) {
        return false;
    }
    for (const llama_token token : tokens) {
        common_sampler_accept(sampler.get(), token, false);
    }
    pending.insert(pending.end(), tokens.begin(), tokens.end());
    return true;
}

llama_token Generation::next() {
    if (is_uncached) {
        prepare();
    }
    if (!window.make_room(pending.size())) {
        return LLAMA_TOKEN_NULL;
    }
    evaluate(pending);
    const llama_token token = common_sampler_sample(sampler.get(), context, -1);
    common_sampler_accept(sampler.get(), token, true);
    pending = {token};
    return token;
}

void Generation::reset_sampling() {
    sampler.reset(common_sampler_clone(beginning_sampler)); // common_sampler_reset() does not reset the grammar
}

void Generation::end() {
    if (is_uncached) {
        prepare();
    }
    if (cache.keeps_everything() && is_cacheable && !window.has_moved()) {
        if (!pending.empty() && !is_end(pending.back()) && window.make_room(pending.size())) {
            evaluate(pending);
        }
        cache.save(known);
    }
}
