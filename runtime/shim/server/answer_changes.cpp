#include "server/answer_changes.h"

#include <string>

namespace {

bool has_value(const common_json &object, const char *name) {
    return object.is_object() && object.contains(name) && !object.at(name).is_null();
}

// Without top_logprobs a chat gets the probabilities of its tokens alone.
void remove_alternatives(common_json &answer) {
    if (!has_value(answer, "choices")) {
        return;
    }
    for (common_json &choice : answer.at("choices")) {
        if (has_value(choice, "logprobs") && has_value(choice.at("logprobs"), "content")) {
            for (common_json &token : choice.at("logprobs").at("content")) {
                token["top_logprobs"] = common_json::array();
            }
        }
    }
}

bool holds(const common_json &words, const common_json &word) {
    for (const common_json &item : words) {
        if (item.dump_safe() == word.dump_safe()) {
            return true;
        }
    }
    return false;
}

// The engine gives the word that ended a message, which may be one of the template's, but not the reason.
void correct_stop_reason(common_json &message, const common_json &words) {
    if (!has_value(message, "stop_sequence")) {
        return;
    }
    if (!holds(words, message.at("stop_sequence"))) {
        message["stop_sequence"] = nullptr;
    } else if (has_value(message, "stop_reason") && message.at("stop_reason") == "end_turn") {
        message["stop_reason"] = "stop_sequence";
    }
}

void correct_message(common_json &answer, const common_json &words) {
    correct_stop_reason(answer, words);
    if (has_value(answer, "delta")) {
        correct_stop_reason(answer.at("delta"), words);
    }
}

// The value of NAME in REQUEST, or OTHERWISE.
common_json requested(const common_json &request, const char *name, const common_json &otherwise) {
    return has_value(request, name) ? request.at(name) : otherwise;
}

void complete_usage(common_json &usage) {
    if (has_value(usage, "input_tokens_details")) {
        usage.at("input_tokens_details")["cache_write_tokens"] = 0;
    }
    usage["output_tokens_details"] = common_json{{"reasoning_tokens", 0}};
}

// True if the tokens that REQUEST allows were not enough for RESPONSE.
bool is_cut_off(const common_json &response, const common_json &request) {
    return has_value(response, "usage") && has_value(request, "max_output_tokens") &&
           request.at("max_output_tokens").get<int64_t>() > 0 &&
           response.at("usage").at("output_tokens").get<int64_t>() >= request.at("max_output_tokens").get<int64_t>();
}

// A response repeats the request. The engine leaves that out, and says of each that it is complete.
void complete_response(common_json &response, const common_json &request) {
    response["parallel_tool_calls"] = requested(request, "parallel_tool_calls", true);
    response["tool_choice"] = requested(request, "tool_choice", "auto");
    response["tools"] = requested(request, "tools", common_json::array());
    response["instructions"] = requested(request, "instructions", nullptr);
    response["max_output_tokens"] = requested(request, "max_output_tokens", nullptr);
    response["metadata"] = requested(request, "metadata", common_json::object());
    response["temperature"] = requested(request, "temperature", nullptr);
    response["top_p"] = requested(request, "top_p", nullptr);
    response["error"] = nullptr;
    response["incomplete_details"] = nullptr;
    if (is_cut_off(response, request)) {
        response["status"] = "incomplete";
        response["incomplete_details"] = common_json{{"reason", "max_output_tokens"}};
    }
    if (has_value(response, "usage")) {
        complete_usage(response.at("usage"));
    }
}

void correct_response(common_json &answer, const common_json &request) {
    if (has_value(answer, "object") && answer.at("object") == "response") {
        complete_response(answer, request);
    } else if (has_value(answer, "response")) {
        complete_response(answer.at("response"), request);
        if (answer.at("response").at("status") == "incomplete") {
            answer["type"] = "response.incomplete";
        }
    }
}

// The engine generates a token even if none is asked for.
void remove_text(common_json &answer) {
    if (!has_value(answer, "content")) {
        return;
    }
    answer["content"] = "";
    answer["tokens"] = common_json::array();
    answer.erase("completion_probabilities");
    if (answer.contains("tokens_predicted")) {
        answer["tokens_predicted"] = 0;
    }
}

bool asks_for_nothing(const common_json &body) {
    for (const char *name : {"n_predict", "max_completion_tokens", "max_tokens"}) { // as the engine looks for them
        if (has_value(body, name)) {
            return body.at(name) == 0;
        }
    }
    return false;
}

} // namespace

AnswerChange answer_change(Endpoint endpoint, const common_json &body) {
    const bool has_alternatives = has_value(body, "top_logprobs") && body.at("top_logprobs") != 0;
    if (endpoint == CHAT && has_value(body, "logprobs") && !has_alternatives) {
        return remove_alternatives;
    }
    if (endpoint == MESSAGES) {
        const common_json words = has_value(body, "stop_sequences") ? body.at("stop_sequences") : common_json::array();
        return [words](common_json &answer) { correct_message(answer, words); };
    }
    if (endpoint == RESPONSES) {
        return [body](common_json &answer) { correct_response(answer, body); };
    }
    if (endpoint == NATIVE && asks_for_nothing(body)) {
        return remove_text;
    }
    return nullptr;
}
