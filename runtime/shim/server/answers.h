// Answers of the engine's, changed on their way to the client: whole ones, and the events of streams.

#pragma once

#include "json.h"

#include <cpp-httplib/httplib.h>

#include <functional>

// Changes one answer, or the data of one event.
using AnswerChange = std::function<void(common_json &answer)>;

// Applies CHANGE to what RESPONSE, which is no error, sends.
void change_answer(httplib::Response &response, const AnswerChange &change);
