// What the engine knows after it has read a prompt, kept in a file (--prompt-cache).
//
// The file is the engine's own (llama_state_save_file). Before the tokens it holds a digest of the model, in the guise
// of tokens: what one model remembers makes no sense to another of the same size.

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

    // Puts what the file remembers into the engine's memory, and returns its tokens: none if there is no file, or if
    // it is of no use, which is said. A file that is no prompt cache is an error: it is not ours to overwrite.
    std::vector<llama_token> load();

    // Writes what is in the engine's memory, which TOKENS are.
    void save(const std::vector<llama_token> &tokens);

  private:
    bool is_cache() const;
    std::vector<llama_token> give_up(const std::string &reason);

    llama_context *context;
    std::string path;
    bool all;
    bool is_read_only;
    std::vector<llama_token> digest;
};
