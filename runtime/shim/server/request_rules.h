// The rules of requests that concern more than the type of one field, and what the engine does not understand said in
// words that it does.

#pragma once

#include "json.h"
#include "server/endpoint.h"
#include "server/model_facts.h"

// Changes BODY so that the engine obeys all of it. Throws FieldError if it cannot.
void apply_rules(Endpoint endpoint, common_json &body, const ModelFacts &model);
