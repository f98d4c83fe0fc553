// The functions that the engine's server calls for the states of system prompts (hooks/hooks.h).

#include "hooks/hooks.h"

#include "common.h"
#include "llama.h"
#include "log.h"
#include "prompts/keeping.h"
#include "prompts/system_part.h"
#include "server-task.h"

#include <algorithm>
#include <exception>

namespace {

constexpr size_t GAIN_MIN = 128; // tokens; fewer are computed sooner than read

// Of the request that this thread answers: its prompt, and the part of it that is the system's.
struct Rendering {
    std::string prompt;
    std::string system;
};

thread_local Rendering rendering;

std::vector<int32_t> text_tokens(const server_tokens &tokens, size_t count) {
    std::vector<int32_t> result;
    for (size_t i = 0; i < count && tokens[i] != LLAMA_TOKEN_NULL; ++i) {
        result.push_back(tokens[i]);
    }
    return result;
}

// Without bytes if there is no state, or no memory for it.
Block state_of(llama_context *context, int sequence) {
    Block block = Block::of_size(llama_state_seq_get_size_ext(context, sequence, LLAMA_STATE_SEQ_FLAGS_NONE));
    if (block.bytes != nullptr) {
        block.size =
            llama_state_seq_get_data_ext(context, block.bytes.get(), block.size, sequence, LLAMA_STATE_SEQ_FLAGS_NONE);
    }
    return block;
}

bool set_state(llama_context *context, int sequence, const Block &block) {
    return llama_state_seq_set_data_ext(context, block.bytes.get(), block.size, sequence, LLAMA_STATE_SEQ_FLAGS_NONE) ==
           block.size;
}

void clear(llama_context *target, llama_context *draft, int sequence, server_prompt &prompt) {
    for (llama_context *context : {target, draft}) {
        if (context != nullptr) {
            llama_memory_seq_rm(llama_get_memory(context), sequence, -1, -1);
        }
    }
    prompt.clear();
}

// Of memory that cannot be cut, the engine uses what it knows to begin early enough: a window that slides then has all
// that the last token sees, and is computed from this token on.
void add_checkpoint(llama_context *target, llama_context *draft, int sequence, server_prompt &prompt) {
    const auto end = static_cast<llama_pos>(prompt.n_tokens());
    const llama_pos first = llama_memory_seq_pos_min(llama_get_memory(target), sequence);
    const llama_pos before_window = std::max(0, end - llama_model_n_swa(llama_get_model(target)) - 1);
    common_prompt_checkpoint &checkpoint = prompt.checkpoints.emplace_back();
    checkpoint.update_pos(end, first == end - 1 ? first : before_window, end - 1); // `first` is the last one: recurrent
    checkpoint.update_tgt(target, sequence, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
    checkpoint.update_dft(draft, sequence, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
}

} // namespace

void llamafile_loaded(const common_params &params, llama_context *context) {
    if (prompt_keeping() != nullptr && context != nullptr) {
        prompt_keeping()->set_context(StateContext(params, llama_get_model(context)));
    }
}

void llamafile_rendered(const common_chat_templates *templates, const common_chat_templates_inputs &inputs,
                        const std::string &prompt) {
    rendering = {};
    if (prompt_keeping() == nullptr) {
        return;
    }
    try {
        rendering.system = system_part(templates, inputs, prompt);
        rendering.prompt = rendering.system.empty() ? "" : prompt;
    } catch (const std::exception &error) { // of the template, which may want other messages
        LOG_TRC("the system prompt is not kept: %s\n", error.what());
    }
}

int llamafile_system_tokens(const llama_vocab *vocabulary, const std::string &text, const server_tokens &tokens) {
    const Rendering current = std::move(rendering);
    rendering = {};
    if (current.system.empty() || current.prompt != text) {
        return 0;
    }
    const std::vector<int32_t> system = common_tokenize(vocabulary, current.system, true, true);
    const std::vector<int32_t> all = text_tokens(tokens, tokens.size());
    const auto end = std::mismatch(system.begin(), system.end(), all.begin(), all.end()).first;
    const auto count = static_cast<size_t>(end - system.begin());
    return count < TOKENS_MIN || count >= tokens.size() ? 0 : static_cast<int>(count);
}

void llamafile_restore_prompt(llama_context *target, llama_context *draft, int sequence,
                              const std::vector<common_adapter_lora_info> &adapters, bool may_cut,
                              const server_tokens &wanted, server_prompt &prompt) {
    PromptKeeping *keeping = prompt_keeping();
    const StateContext *conditions = keeping == nullptr ? nullptr : keeping->state_context();
    if (conditions == nullptr) {
        return;
    }
    keeping->set_cutting(may_cut);
    const std::vector<int32_t> tokens = text_tokens(wanted, wanted.size() - 1); // the last one is computed anyway
    const uint64_t context = conditions->with(adapters, draft != nullptr);
    const std::optional<PromptStore::Match> match = keeping->store().find(context, tokens, may_cut);
    if (!match || match->tokens < prompt.tokens.get_common_prefix(wanted) + GAIN_MIN) {
        return;
    }
    const std::optional<PromptState> state = keeping->store().read(*match);
    if (!state) {
        return;
    }
    if (!set_state(target, sequence, state->target) ||
        (draft != nullptr && !set_state(draft, sequence, state->draft))) {
        clear(target, draft, sequence, prompt);
        return;
    }
    prompt.tokens = server_tokens(state->tokens, prompt.tokens.has_mtmd);
    prompt.checkpoints.clear();
    if (!may_cut) {
        add_checkpoint(target, draft, sequence, prompt);
    }
    LOG_TRC("%zu tokens of the prompt are known from '%s'\n", match->tokens, keeping->store().path().c_str());
}

int llamafile_keep_prompt(llama_context *target, llama_context *draft, int sequence,
                          const std::vector<common_adapter_lora_info> &adapters, const server_prompt &prompt,
                          int system_tokens) {
    PromptKeeping *keeping = prompt_keeping();
    const StateContext *conditions = keeping == nullptr ? nullptr : keeping->state_context();
    if (conditions == nullptr || prompt.n_tokens() > system_tokens || system_tokens <= 0) {
        return -1;
    }
    if (prompt.n_tokens() < system_tokens) {
        return system_tokens;
    }
    PromptState state;
    state.context = conditions->with(adapters, draft != nullptr);
    state.tokens = text_tokens(prompt.tokens, prompt.tokens.size());
    const size_t size = llama_state_seq_get_size_ext(target, sequence, LLAMA_STATE_SEQ_FLAGS_NONE);
    if (state.tokens.size() != prompt.tokens.size() || !keeping->is_worth_keeping(state.context, state.tokens, size)) {
        return -1;
    }
    state.target = state_of(target, sequence);
    state.draft = draft == nullptr ? Block() : state_of(draft, sequence);
    if (state.target.size != 0 && (draft == nullptr || state.draft.size != 0)) {
        keeping->state_writer().hold(sequence, std::move(state));
    }
    return -1;
}

void llamafile_answer_ended(int sequence) {
    if (prompt_keeping() != nullptr) {
        prompt_keeping()->state_writer().answer_ended(sequence);
    }
}
