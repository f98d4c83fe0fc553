// What each endpoint's answer needs so that it is what its API documents.

#pragma once

#include "server/answers.h"
#include "server/endpoint.h"

// The change of the answer to BODY, a request as the client sent it; null if there is none.
AnswerChange answer_change(Endpoint endpoint, const common_json &body);
