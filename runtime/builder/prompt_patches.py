"""The patches to the engine's server that keep the states of system prompts for the next start: shim/prompts/."""

from __future__ import annotations

from typing import Final

from runtime.builder.patches import Patch

__all__ = ["PROMPT_PATCHES"]

PROMPT_PATCHES: Final = (
    Patch(
        file="tools/server/server-common.cpp",
        anchor='llama_params["prompt"]      = chat_params.prompt;',
        replacement="""\
llamafile_rendered(opt.tmpls.get(), inputs, chat_params.prompt);
    llama_params["prompt"]      = chat_params.prompt;""",
        reason="only here it is known which part of a prompt is the system's, and which the user's",
    ),
    Patch(
        file="tools/server/server-task.h",
        anchor="    common_chat_msg_spans message_spans;",
        replacement="    common_chat_msg_spans message_spans;\n    int32_t n_system = 0;",
        reason="the number of tokens at the beginning of the prompt that are the system's",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="task.params.message_spans = task.tokens.find_message_spans(delimiters);",
        replacement="""\
task.params.message_spans = task.tokens.find_message_spans(delimiters);
            task.params.n_system = llamafile_system_tokens(
                ctx_server.vocab, prompt.is_string() ? prompt.get<std::string>() : std::string(), task.tokens);""",
        reason="the same",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="// reuse any previously computed tokens that are common with the new prompt",
        replacement="""\
if (slot.alora_invocation_start <= 0) {
                                    llamafile_restore_prompt(slot.ctx_tgt, slot.ctx_dft, slot.id, slot.lora,
                                        ctx_tgt_seq_rm_type == COMMON_CONTEXT_SEQ_RM_TYPE_PART && n_swa == 0,
                                        input_tokens, slot.prompt);
                                }""",
        reason="a state on disk may have more of the new prompt than the slot",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="const auto last_user_pos = spans.last_user_message_pos();",
        replacement="""\
const auto last_user_pos = spans.last_user_message_pos();
                    const bool may_keep = slot.task->params.cache_prompt && slot.alora_invocation_start <= 0;
                    const int32_t keep_at = llamafile_keep_prompt(slot.ctx_tgt, slot.ctx_dft, slot.id, slot.lora,
                        slot.prompt, may_keep ? slot.task->params.n_system : 0);""",
        reason="a state behind the system prompt and before the user's text is that of the system prompt alone, for "
        "every kind of memory",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="slot.prompt.tokens.push_back(cur_tok);",
        replacement="""\
slot.prompt.tokens.push_back(cur_tok);
                        if (slot.prompt.n_tokens() == keep_at) {
                            break;
                        }""",
        reason="the same: the batch ends there",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="t_last_used = ggml_time_us();",
        replacement="t_last_used = ggml_time_us();\n            llamafile_answer_ended(id);",
        reason="states are written to disk when the user has his answer",
    ),
)
