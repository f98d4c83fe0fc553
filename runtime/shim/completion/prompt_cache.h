// The engine's memory after a prompt, kept in a file (--prompt-cache).
//
// The file has the engine's format (llama_state_save_file). The first tokens in it are a digest of the model, because
// the memory of one model is meaningless to another model of the same size.

#pragma once

#include "common.h"
#include "llama.h"

#include <string>
#include <vector>

class PromptCache {
  public:
    PromptCache(const common_params &params, llama_context *context);

    bool is_wanted() const { return !path.empty(); }
    bool keeps_everything() const { return is_wanted() && !is_read_only && all; }

    // Loads the file into the engine's memory and returns its tokens: none if there is no file or it cannot be used,
    // which is logged. Throws UserError for a file that is not a prompt cache, because save() would overwrite it.
    std::vector<llama_token> load();

    // Writes the engine's memory, which contains TOKENS.
    void save(const std::vector<llama_token> &tokens);

  private:
    bool is_cache() const;
    std::vector<llama_token> discard(const std::string &reason);

    llama_context *context;
    std::string path;
    bool all;
    bool is_read_only;
    std::vector<llama_token> digest;
};
