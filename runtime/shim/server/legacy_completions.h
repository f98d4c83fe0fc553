// What OpenAI's /v1/completions has and the engine's has not: `echo`, no tokens at all, and probabilities in four
// lists.

#pragma once

#include "server/answers.h"
#include "server/engine_call.h"

// Takes out of BODY what the engine does not know, and returns the change that gives the answer the same. Throws
// FieldError if the request cannot be obeyed.
AnswerChange prepare_legacy_completion(common_json &body, const EngineCall &engine,
                                       const std::function<bool()> &is_abandoned);
