// A text in the engine's memory: tokens go in, the next one comes out.

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

    // The beginning, still to be read. With a prompt cache, what it remembers is not computed again, and an empty text
    // stands for all of it. Returns the text that it is. Errors here and below are std::runtime_error.
    std::string begin(const std::string &text);

    // The same with images in it, which are read at once.
    void begin(mtmd_context *projector, const mtmd_input_chunks *chunks);
    void check_length(size_t count) const;

    // Computes what can be known before the next token is asked for.
    void prepare();

    // More text, from somebody else than the model. False if there is no room.
    bool add(const std::vector<llama_token> &tokens);

    // The next token; LLAMA_TOKEN_NULL if the context is full.
    llama_token next();

    // From here on a grammar starts again, and repetitions are forgotten.
    void reset_sampling();

    // Writes what is still to be in the prompt cache.
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
    std::vector<llama_token> known;   // what the engine's memory holds, as long as that is a prefix of the text
    std::vector<llama_token> pending; // what it is still to read
    bool is_cacheable = true;
    bool is_uncached = false; // the prompt is to be in the cache, and is not yet
};
