// The probabilities of the tokens of a prompt. The engine has only those of tokens that it generates: each token of the
// prompt is generated after those before it, with a bias that leaves no choice and that the probabilities do not
// contain.

#pragma once

#include "server/engine_call.h"

#include <functional>
#include <string>
#include <vector>

struct PromptToken {
    int id = 0;
    std::string text;
};

// The tokens of PROMPT, a text or an array of tokens, as the engine completes it.
std::vector<PromptToken> tokens_of(const common_json &prompt, const EngineCall &engine);

// For each of TOKENS what the engine's /completion has in `completion_probabilities`, with COUNT alternatives; null for
// the first one. Stops early, with fewer elements, if IS_ABANDONED.
common_json prompt_logprobs(const std::vector<PromptToken> &tokens, int count, const EngineCall &engine,
                            const std::function<bool()> &is_abandoned);
