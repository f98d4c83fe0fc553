// Answers of /v1/responses: what a response repeats of its request, and the numbers of the events of a stream.

#pragma once

#include "server/answers.h"

// The change of the answer to REQUEST.
AnswerChange response_change(const common_json &request);
