#include "server/prompt_logprobs.h"

#include <cstdio>

namespace {

constexpr double ONLY_CHOICE = 10000; // larger than any difference of logits

// PIECE is a string, or the bytes of a part of a character, which OpenAI's API writes like this.
std::string text_of(const common_json &piece) {
    if (piece.is_string()) {
        return piece.get<std::string>();
    }
    std::string text = "bytes:";
    for (const common_json &byte : piece) {
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(byte.get<int>()) & 0xffU);
        text += escaped;
    }
    return text;
}

std::vector<PromptToken> tokens_of_text(const common_json &text, const EngineCall &engine) {
    const common_json request = {
        {"content", text}, {"add_special", true}, {"parse_special", true}, {"with_pieces", true}};
    std::vector<PromptToken> tokens;
    const common_json answer = engine("/tokenize", request);
    for (const common_json &token : answer.at("tokens")) {
        tokens.push_back({token.at("id").get<int>(), text_of(token.at("piece"))});
    }
    return tokens;
}

common_json forced(const common_json &before, int token, int count, const EngineCall &engine) {
    common_json bias = common_json::array();
    bias.push_back(common_json::array({token, ONLY_CHOICE}));
    const common_json answer = engine("/completion", {{"prompt", before},
                                                      {"n_predict", 1},
                                                      {"n_probs", count},
                                                      {"temperature", 0},
                                                      {"grammar", ""},
                                                      {"logit_bias", bias},
                                                      {"cache_prompt", true}});
    const bool has_one = answer.contains("completion_probabilities") &&
                         !answer.at("completion_probabilities").empty() &&
                         answer.at("completion_probabilities").at(size_t{0}).at("id") == token;
    return has_one ? answer.at("completion_probabilities").at(size_t{0}) : common_json();
}

} // namespace

std::vector<PromptToken> tokens_of(const common_json &prompt, const EngineCall &engine) {
    if (prompt.is_string()) {
        return tokens_of_text(prompt, engine);
    }
    std::vector<PromptToken> tokens;
    for (const common_json &id : prompt) {
        const common_json one = common_json::array({id});
        tokens.push_back({id.get<int>(), engine("/detokenize", {{"tokens", one}}).at("content").get<std::string>()});
    }
    return tokens;
}

common_json prompt_logprobs(const std::vector<PromptToken> &tokens, int count, const EngineCall &engine,
                            const std::function<bool()> &is_abandoned) {
    common_json before = common_json::array();
    common_json result = common_json::array();
    for (const PromptToken &token : tokens) {
        if (is_abandoned()) {
            break;
        }
        result.push_back(before.empty() ? common_json() : forced(before, token.id, count, engine));
        before.push_back(token.id);
    }
    return result;
}
