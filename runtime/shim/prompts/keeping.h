// The states of system prompts on disk: whether this process keeps them, where, and which.

#pragma once

#include "prompts/identity.h"
#include "prompts/state.h"
#include "prompts/store.h"
#include "prompts/writer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

struct common_params;

// The number of tokens from which on a state is worth a file.
constexpr size_t TOKENS_MIN = 256;

class PromptKeeping {
  public:
    PromptKeeping(std::unique_ptr<PromptStore> states, uint64_t memory_limit)
        : prompt_store(std::move(states)), writer(*prompt_store), memory_max(memory_limit) {}

    // Until this is called, nothing is read or kept.
    void set_context(const StateContext &value) { context = value; }
    const StateContext *state_context() const { return context ? &*context : nullptr; } // null before

    // Whether the engine can remove tokens from the end of a state.
    void set_cutting(bool value) { can_cut = value; }

    PromptStore &store() { return *prompt_store; }
    StateWriter &state_writer() { return writer; }

    // Whether the state of CONTEXT behind TOKENS should be kept, which has SIZE bytes.
    bool is_worth_keeping(uint64_t context, const std::vector<int32_t> &tokens, size_t size);

  private:
    std::unique_ptr<PromptStore> prompt_store;
    StateWriter writer;
    uint64_t memory_max;
    std::optional<StateContext> context;
    bool can_cut = false;
    int kept_count = 0;
    std::set<uint64_t> seen;
};

// Opens the folder, which then keeps at most SIZE_MAX bytes; 0 keeps nothing. Must be called before the sandbox closes.
// Without a usable folder nothing is kept, and the log of the engine says so if it is verbose.
void open_prompt_keeping(const common_params &params, uint64_t size_max, bool for_children);

// Whether files are open for states: for those of this process, or of its children.
bool has_prompt_files();

// Null if nothing is kept.
PromptKeeping *prompt_keeping();

// Returns when everything is written.
void finish_prompt_keeping();

// The variable for children, as NAME=VALUE; empty if they inherit nothing.
std::string prompt_variable_for_children();

// The option for children.
std::vector<std::string> prompt_option_for_children();
