// What a state depends on beside its tokens.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct common_adapter_lora_info; // NOLINT(readability-identifier-naming): the engine's
struct common_params;
struct llama_model;

// The context of the states that a server makes, as a number that differs between different contexts.
class StateContext {
  public:
    // Reads samples of the files that PARAMS name. Must be called before the server gives up its right to open files.
    StateContext(const common_params &params, const llama_model *model);

    // With ADAPTERS, which a request may choose.
    uint64_t with(const std::vector<common_adapter_lora_info> &adapters, bool has_draft) const;

  private:
    uint64_t base;
    std::map<std::string, uint64_t> adapter_files;
};
