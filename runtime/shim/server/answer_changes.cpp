#include "server/answer_changes.h"

#include "server/json_value.h"
#include "server/response_answers.h"

#include <string>

namespace {

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
        return response_change(body);
    }
    if (endpoint == NATIVE && asks_for_nothing(body)) {
        return remove_text;
    }
    return nullptr;
}
