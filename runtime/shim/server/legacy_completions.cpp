#include "server/legacy_completions.h"

#include "server/json_value.h"
#include "server/prompt_logprobs.h"
#include "server/request_fields.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

// A prompt that is repeated before its text.
struct Echo {
    std::string text;
    std::vector<PromptToken> tokens; // these two only with probabilities
    common_json logprobs;
};

// The state of one answer.
struct Legacy {
    bool has_logprobs = false;
    int alternatives = 0;  // for each token
    bool is_empty = false; // no token is asked for
    int texts_per_prompt = 1;
    std::vector<Echo> echoes;      // of each prompt; empty without echo
    std::map<int, size_t> offsets; // of each text that has begun: its length so far, in bytes

    void change(common_json &answer);
    void change_choice(common_json &choice);
    common_json lists(int index, const common_json &content, const Echo *echo);
};

struct Lists {
    common_json tokens = common_json::array(), token_logprobs = common_json::array(),
                top_logprobs = common_json::array(), text_offset = common_json::array();

    // PROBABILITY is the engine's for the token, null if there is none.
    void add(const std::string &token, const common_json &probability, int alternatives, size_t offset) {
        tokens.push_back(token);
        text_offset.push_back(offset);
        if (probability.is_null()) {
            token_logprobs.push_back(nullptr);
            top_logprobs.push_back(nullptr);
            return;
        }
        token_logprobs.push_back(probability.at("logprob"));
        common_json top = common_json::object();
        for (const common_json &other : probability.at("top_logprobs")) {
            if (static_cast<int>(top.size()) < alternatives) {
                top[other.at("token").get<std::string>()] = other.at("logprob");
            }
        }
        if (alternatives > 0) {
            top[token] = probability.at("logprob");
        }
        top_logprobs.push_back(top);
    }
};

common_json Legacy::lists(int index, const common_json &content, const Echo *echo) {
    Lists result;
    size_t &offset = offsets[index];
    for (size_t at = 0; echo != nullptr && at < echo->tokens.size(); ++at) {
        const std::string &text = echo->tokens[at].text;
        const common_json probability = at < echo->logprobs.size() ? echo->logprobs.at(at) : common_json();
        result.add(text, probability, alternatives, offset);
        // A token that is not of the text, such as the one that begins each prompt, takes no room.
        offset += echo->text.compare(offset, text.size(), text) == 0 ? text.size() : 0;
    }
    offset = echo != nullptr ? echo->text.size() : offset;
    for (const common_json &token : content) {
        const std::string text = token.at("token").get<std::string>();
        result.add(text, token, alternatives, offset);
        offset += text.size();
    }
    return {{"tokens", result.tokens},
            {"token_logprobs", result.token_logprobs},
            {"top_logprobs", result.top_logprobs},
            {"text_offset", result.text_offset}};
}

void Legacy::change_choice(common_json &choice) {
    const int index = choice.at("index").get<int>();
    const bool is_first = offsets.find(index) == offsets.end();
    offsets[index];
    const size_t prompt = static_cast<size_t>(index / texts_per_prompt);
    const Echo *echo = is_first && prompt < echoes.size() ? &echoes[prompt] : nullptr;
    common_json content = common_json::array();
    if (!is_empty && choice.contains("logprobs") && choice.at("logprobs").is_object()) {
        content = choice.at("logprobs").at("content");
    }
    const std::string text = is_empty ? "" : choice.at("text").get<std::string>();
    choice["text"] = (echo != nullptr ? echo->text : "") + text;
    const bool has_tokens = !content.empty() || (echo != nullptr && !echo->tokens.empty());
    choice["logprobs"] = has_logprobs && has_tokens ? lists(index, content, echo) : common_json();
    if (is_empty && choice.contains("finish_reason") && choice.at("finish_reason").is_string()) {
        choice["finish_reason"] = "length";
    }
}

void Legacy::change(common_json &answer) {
    if (!answer.is_object() || !answer.contains("choices")) {
        return;
    }
    for (common_json &choice : answer.at("choices")) {
        change_choice(choice);
    }
    if (is_empty && answer.contains("usage") && answer.at("usage").is_object()) {
        common_json &usage = answer.at("usage");
        usage["completion_tokens"] = 0;
        usage["total_tokens"] = usage.at("prompt_tokens");
    }
}

bool are_numbers(const common_json &array) {
    for (const common_json &item : array) {
        if (!item.is_number_integer()) {
            return false;
        }
    }
    return !array.empty();
}

// PROMPT as a list of texts and arrays of tokens.
std::vector<common_json> prompts_of(const common_json &prompt) {
    if (prompt.is_string() || (prompt.is_array() && are_numbers(prompt))) {
        return {prompt};
    }
    std::vector<common_json> prompts;
    for (const common_json &item : prompt.is_array() ? prompt : common_json::array({prompt})) {
        if (!item.is_string() && !(item.is_array() && are_numbers(item))) {
            throw FieldError("prompt", item, "a text or an array of tokens, with 'echo'");
        }
        prompts.push_back(item);
    }
    return prompts;
}

void add_echoes(Legacy &legacy, const common_json &prompt, const EngineCall &engine,
                const std::function<bool()> &is_abandoned) {
    for (const common_json &item : prompts_of(prompt)) {
        Echo echo;
        echo.text = item.is_string() ? item.get<std::string>()
                                     : engine("/detokenize", {{"tokens", item}}).at("content").get<std::string>();
        if (legacy.has_logprobs) {
            echo.tokens = tokens_of(item, engine);
            echo.logprobs = prompt_logprobs(echo.tokens, std::max(1, legacy.alternatives), engine, is_abandoned);
        }
        legacy.echoes.push_back(std::move(echo));
    }
}

} // namespace

AnswerChange prepare_legacy_completion(common_json &body, const EngineCall &engine,
                                       const std::function<bool()> &is_abandoned) {
    const auto legacy = std::make_shared<Legacy>();
    legacy->has_logprobs = has_value(body, "logprobs");
    legacy->alternatives = legacy->has_logprobs ? body.at("logprobs").get<int>() : 0;
    legacy->texts_per_prompt = has_value(body, "n") ? body.at("n").get<int>() : 1;
    legacy->is_empty = has_value(body, "max_tokens") && body.at("max_tokens") == 0;
    if (has_value(body, "echo") && body.at("echo").get<bool>() && has_value(body, "prompt")) {
        add_echoes(*legacy, body.at("prompt"), engine, is_abandoned);
    }
    for (const char *name : {"echo", "best_of", "suffix"}) {
        body.erase(name); // the values that check_fields() permits have no further effect
    }
    if (legacy->has_logprobs) {
        body["logprobs"] = std::max(1, legacy->alternatives);
    }
    if (legacy->is_empty) {
        body["max_tokens"] = 1; // the engine generates one in any case
    }
    return [legacy](common_json &answer) { legacy->change(answer); };
}
