#include "server/field_table.h"

namespace {

constexpr unsigned TEXT = CHAT | COMPLETIONS | RESPONSES | NATIVE; // whose fields the engine reads all
constexpr unsigned OPENAI = CHAT | COMPLETIONS | RESPONSES | EMBEDDINGS;
constexpr unsigned ALL = OPENAI | MESSAGES | NATIVE;
constexpr double INT_MAX_VALUE = 2147483647;
constexpr double SEED_MAX = 4294967295;

constexpr const char TEXT_ONLY[] = "this server writes text only";
constexpr const char NO_MEMORY[] = "this server keeps no answers";
constexpr const char NO_SERVICES[] = "this server has no tools of its own";
constexpr const char NO_CHOICE[] = "there is one service, this machine";
constexpr const char NO_LENGTHS[] = "the model decides how long its answer is";

Field refused(const char *name, unsigned endpoints, const char *allowed, const char *why) {
    return {name, endpoints, Shape::ONE_OF, -UNLIMITED, UNLIMITED, allowed, why};
}

Field at_least(const char *name, unsigned endpoints, double min) {
    return {name, endpoints, Shape::INTEGER, min, INT_MAX_VALUE};
}

const std::vector<Field> FIELDS = {
    // Of all endpoints, or most.
    {"model", ALL, Shape::STRING},
    {"stream", ALL & ~EMBEDDINGS, Shape::BOOLEAN},
    {"stream_options", CHAT | COMPLETIONS | RESPONSES, Shape::OBJECT},
    {"stop", TEXT, Shape::TEXTS},
    {"stop_sequences", MESSAGES, Shape::STRINGS},
    {"temperature", TEXT | MESSAGES, Shape::NUMBER, 0},
    {"top_p", TEXT | MESSAGES, Shape::NUMBER, 0, 1},
    at_least("top_k", TEXT | MESSAGES, 0),
    {"frequency_penalty", TEXT, Shape::NUMBER},
    {"presence_penalty", TEXT, Shape::NUMBER},
    {"seed", TEXT, Shape::INTEGER, -1, SEED_MAX},
    {"logit_bias", TEXT, Shape::BIASES},
    {"metadata", OPENAI | MESSAGES, Shape::OBJECT},
    {"user", OPENAI, Shape::STRING},
    {"safety_identifier", CHAT | RESPONSES, Shape::STRING},
    {"prompt_cache_key", CHAT | RESPONSES, Shape::STRING},

    // The length of an answer.
    {"max_tokens", CHAT | MESSAGES, Shape::COUNT, -1, INT_MAX_VALUE},
    {"max_completion_tokens", CHAT, Shape::COUNT, -1, INT_MAX_VALUE},
    {"max_output_tokens", RESPONSES, Shape::COUNT, -1, INT_MAX_VALUE},
    at_least("max_tokens", COMPLETIONS | NATIVE, -1),
    at_least("n_predict", COMPLETIONS | NATIVE, -1),
    {"n_predict", CHAT | RESPONSES, Shape::COUNT, -1, INT_MAX_VALUE},

    // Of the chat.
    {"messages", CHAT | MESSAGES, Shape::ARRAY},
    {"tools", CHAT | RESPONSES | MESSAGES, Shape::ARRAY},
    {"parallel_tool_calls", CHAT | RESPONSES, Shape::BOOLEAN},
    {"response_format", CHAT, Shape::OBJECT},
    refused("reasoning_effort", CHAT, R"(["none", "minimal", "low", "medium", "high", "xhigh"])", ""),
    at_least("n", CHAT | COMPLETIONS, 1),
    {"logprobs", CHAT, Shape::BOOLEAN},
    {"top_logprobs", CHAT, Shape::INTEGER, 0, 20},
    refused("modalities", CHAT, R"([["text"]])", TEXT_ONLY),
    refused("audio", CHAT, "[]", TEXT_ONLY),
    refused("functions", CHAT, "[[]]", "'tools' has replaced it"),
    refused("function_call", CHAT, R"(["none", "auto"])", "'tool_choice' has replaced it"),
    refused("web_search_options", CHAT, "[]", NO_SERVICES),
    refused("verbosity", CHAT, R"(["medium"])", NO_LENGTHS),
    refused("moderation", CHAT | RESPONSES, "[]", NO_SERVICES),
    refused("store", CHAT | RESPONSES, "[false]", NO_MEMORY),
    refused("service_tier", CHAT | RESPONSES, R"(["auto", "default"])", NO_CHOICE),
    refused("service_tier", MESSAGES, R"(["auto", "standard_only"])", NO_CHOICE),

    // Of the legacy completions.
    {"echo", COMPLETIONS, Shape::BOOLEAN},
    {"logprobs", COMPLETIONS, Shape::INTEGER, 0, 100},
    refused("best_of", COMPLETIONS, "[1]", "the server writes the texts that 'n' asks for, and no others"),
    refused("suffix", COMPLETIONS, R"([""])", "/infill completes text between two others"),

    // Of the responses.
    {"instructions", RESPONSES, Shape::STRING},
    {"reasoning", RESPONSES, Shape::OBJECT},
    {"text", RESPONSES, Shape::OBJECT},
    refused("background", RESPONSES, "[false]", NO_MEMORY),
    refused("background_options", RESPONSES, "[]", NO_MEMORY),
    refused("conversation", RESPONSES, "[]", NO_MEMORY),
    refused("previous_response_id", RESPONSES, R"([""])", NO_MEMORY),
    refused("prompt", RESPONSES, "[]", NO_MEMORY),
    refused("context_management", RESPONSES | MESSAGES, "[[]]", "the server never shortens a conversation"),
    refused("truncation", RESPONSES, R"(["disabled"])", "the server never shortens a conversation"),
    // Codex asks for encrypted reasoning, with which a server without memory gets its own thoughts back. Ours are text.
    refused("include", RESPONSES, R"([[], ["reasoning.encrypted_content"]])",
            "an answer holds all that the server has"),
    refused("top_logprobs", RESPONSES, "[0]", "/v1/chat/completions has them"),
    refused("max_tool_calls", RESPONSES, "[]", NO_SERVICES),
    refused("access_programs", RESPONSES, "[]", NO_SERVICES),
    refused("image", RESPONSES, "[]", TEXT_ONLY),

    // Of the messages.
    {"thinking", MESSAGES, Shape::OBJECT},
    {"tool_choice", MESSAGES, Shape::OBJECT},
    refused("container", MESSAGES, "[]", NO_SERVICES),
    refused("mcp_servers", MESSAGES, "[[]]", NO_SERVICES),
    refused("output_config", MESSAGES, "[{}]", "/v1/chat/completions has 'response_format'"),
    refused("output_format", MESSAGES, "[]", "/v1/chat/completions has 'response_format'"),

    // Of embeddings.
    refused("encoding_format", EMBEDDINGS, R"(["float", "base64"])", ""),
    refused("dimensions", EMBEDDINGS, "[]", "the vectors of a model have one length"),

    // Of llama.cpp.
    {"min_p", TEXT, Shape::NUMBER, 0, 1},
    {"top_n_sigma", TEXT, Shape::NUMBER},
    {"xtc_probability", TEXT, Shape::NUMBER, 0, 1},
    {"xtc_threshold", TEXT, Shape::NUMBER, 0, 1},
    {"typical_p", TEXT, Shape::NUMBER},
    {"dynatemp_range", TEXT, Shape::NUMBER},
    {"dynatemp_exponent", TEXT, Shape::NUMBER},
    {"repeat_penalty", TEXT, Shape::NUMBER},
    at_least("repeat_last_n", TEXT, 0),
    {"dry_multiplier", TEXT, Shape::NUMBER},
    {"dry_base", TEXT, Shape::NUMBER, 1},
    at_least("dry_allowed_length", TEXT, 0),
    at_least("dry_penalty_last_n", TEXT, 0),
    {"dry_sequence_breakers", TEXT, Shape::STRINGS},
    {"mirostat", TEXT, Shape::INTEGER, 0, 2},
    {"mirostat_tau", TEXT, Shape::NUMBER},
    {"mirostat_eta", TEXT, Shape::NUMBER},
    {"adaptive_target", TEXT, Shape::NUMBER, -UNLIMITED, 1},
    {"adaptive_decay", TEXT, Shape::NUMBER, 0, 0.99},
    at_least("n_probs", TEXT, 0),
    at_least("min_keep", TEXT, 0),
    at_least("n_indent", TEXT, 0),
    at_least("n_keep", TEXT, -1),
    at_least("n_discard", TEXT, 0),
    at_least("n_cmpl", TEXT, 1),
    at_least("n_cache_reuse", TEXT, 0),
    at_least("t_max_predict_ms", TEXT, -1),
    at_least("id_slot", TEXT, -1),
    {"cache_prompt", TEXT, Shape::BOOLEAN},
    {"return_tokens", TEXT, Shape::BOOLEAN},
    {"return_progress", TEXT, Shape::BOOLEAN},
    {"timings_per_token", TEXT, Shape::BOOLEAN},
    {"post_sampling_probs", TEXT, Shape::BOOLEAN},
    {"ignore_eos", TEXT, Shape::BOOLEAN},
    {"response_fields", NATIVE, Shape::STRINGS},
    {"grammar", TEXT, Shape::STRING},
    {"lora", TEXT, Shape::ARRAY},
    {"chat_template_kwargs", CHAT | MESSAGES, Shape::OBJECT},
};

} // namespace

const std::vector<Field> &all_fields() {
    return FIELDS;
}
