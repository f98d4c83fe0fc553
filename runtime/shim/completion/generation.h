// A text in the engine's memory, and the generation of its next token. Errors are UserError.

#pragma once

#include "common.h"
#include "completion/context_window.h"
#include "completion/prompt_cache.h"
#include "llama.h"
#include "mtmd.h"
#include "sampling.h"

#include <string>
#include <vector>

class Generation {
  public:
    Generation(const common_params &params, common_init_result &engine);

    // Sets the prompt. With a prompt cache, only tokens that are not in it are computed, and an empty TEXT means the
    // text in the cache. Returns the text of the prompt.
    std::string begin(const std::string &text);

    // Sets a prompt with images, which is computed immediately.
    void begin(mtmd_context *projector, const mtmd_input_chunks *chunks);
    void check_length(size_t count) const;

    // Computes all tokens but the last one in advance.
    void prepare();

    // Adds text that the model did not generate. False if there is no room.
    bool add(const std::vector<llama_token> &tokens);

    // Generates the next token; LLAMA_TOKEN_NULL if the context is full.
    llama_token next();

    // Restarts the grammar and the counts of repetitions.
    void reset_sampling();

    // Writes the prompt cache, if it is not complete.
    void end();

    std::vector<llama_token> tokenize(const std::string &text, bool has_special) const;
    std::string piece(llama_token token) const;
    llama_token beginning() const;
    bool is_end(llama_token token) const;
    size_t context_size() const { return window.size(); }

  private:
    size_t reuse(const std::vector<llama_token> &prompt);
    void encode(std::vector<llama_token> &tokens);
    void evaluate(std::vector<llama_token> &tokens);

    const common_params &params;
    llama_context *context;
    const llama_model *model;
    const llama_vocab *vocabulary;
    common_sampler *beginning_sampler;
    common_sampler_ptr sampler;
    ContextWindow window;
    PromptCache cache;
    std::vector<llama_token> known;   // the tokens in the engine's memory, while that is a prefix of the text
    std::vector<llama_token> pending; // the tokens to compute next
    bool is_cacheable = true;
    bool is_uncached = false; // the prompt must still be written to the cache
};
