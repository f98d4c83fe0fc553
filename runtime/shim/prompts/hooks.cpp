// The functions that the engine's server calls for the states of system prompts (hooks/hooks.h).

#include "hooks/hooks.h"

void llamafile_loaded(const common_params &, llama_context *) {}

void llamafile_rendered(const common_chat_templates *, const common_chat_templates_inputs &, const std::string &) {}

int llamafile_system_tokens(const llama_vocab *, const std::string &, const server_tokens &) {
    return 0;
}

void llamafile_restore_prompt(llama_context *, llama_context *, int, const std::vector<common_adapter_lora_info> &,
                              bool, const server_tokens &, server_prompt &) {}

int llamafile_keep_prompt(llama_context *, llama_context *, int, const std::vector<common_adapter_lora_info> &,
                          const server_prompt &, int) {
    return -1;
}

void llamafile_answer_ended(int) {}
