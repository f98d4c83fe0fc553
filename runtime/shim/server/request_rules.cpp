#include "server/request_rules.h"

#include "server/json_value.h"
#include "server/request_fields.h"

#include <cstdlib>
#include <string>

namespace {

constexpr const char NO_TOOLS[] = "the chat template of this model shows it no tools";

std::string text_at(const common_json &object, const std::string &name) {
    const bool has_text = object.is_object() && object.contains(name) && object.at(name).is_string();
    return has_text ? object.at(name).get<std::string>() : std::string();
}

// The name of TOOL, in the form of each API.
std::string name_of(const common_json &tool) {
    return tool.is_object() && tool.contains("function") ? text_at(tool.at("function"), "name") : text_at(tool, "name");
}

bool has_tools(const common_json &body) {
    return has_value(body, "tools") && !body.at("tools").empty();
}

// Leaves only the tool NAME in BODY: the engine does not know how to choose one of several.
void keep_tool(common_json &body, const std::string &name) {
    common_json kept = common_json::array();
    for (const common_json &tool : body.at("tools")) {
        if (name_of(tool) == name) {
            kept.push_back(tool);
        }
    }
    if (name.empty() || kept.empty()) {
        throw FieldError("tool_choice", body.at("tool_choice"), "a tool that 'tools' has");
    }
    body["tools"] = kept;
}

// The type of tool_choice: OpenAI's API has a string or an object, Anthropic's an object.
std::string choice_of(const common_json &body) {
    const common_json &choice = body.at("tool_choice");
    return choice.is_string() ? choice.get<std::string>() : text_at(choice, "type");
}

void apply_tool_choice(Endpoint endpoint, common_json &body) {
    const std::string choice = choice_of(body);
    const bool is_named = choice == (endpoint == MESSAGES ? "tool" : "function");
    const bool is_forced = choice == (endpoint == MESSAGES ? "any" : "required");
    if (!is_named && !is_forced && choice != "auto" && choice != "none") {
        throw FieldError("tool_choice", body.at("tool_choice"),
                         endpoint == MESSAGES ? "an object of type auto, any, tool or none"
                                              : R"("none", "auto", "required" or an object that names a function)");
    }
    if ((is_named || is_forced) && !has_tools(body)) {
        throw FieldError("tool_choice", body.at("tool_choice"), R"("none" or "auto" without 'tools')");
    }
    if (is_named) {
        keep_tool(body, name_of(body.at("tool_choice")));
        body["tool_choice"] = endpoint == MESSAGES ? common_json{{"type", "any"}} : common_json("required");
    } else if (choice == "none" && endpoint == MESSAGES) {
        body.erase("tools"); // the engine drops the choice on the way
        body.erase("tool_choice");
    }
}

void check_tools(const common_json &body, const ModelFacts &model) {
    const std::string choice = has_value(body, "tool_choice") ? choice_of(body) : "auto";
    if (!has_tools(body) || choice == "none") {
        return;
    }
    // A model may always answer without a call, unless the client forces one.
    if (!model.knows_tools && choice != "auto") {
        throw FieldError("tool_choice",
                         std::string("cannot be obeyed: ") + NO_TOOLS + "; leave it out, or take another model");
    }
    for (const common_json &tool : body.at("tools")) {
        if (name_of(tool).empty()) {
            throw FieldError("tools", tool, "functions, each with a name", "this server has no tools of its own");
        }
    }
}

// The engine reads the format of an answer where the chat has it.
void move_text_format(common_json &body) {
    const common_json text = body.at("text");
    body.erase("text");
    if (has_value(text, "verbosity") && text_at(text, "verbosity") != "medium") {
        throw FieldError("text.verbosity", text.at("verbosity"), "\"medium\"",
                         "the model decides how long its answer is");
    }
    if (!has_value(text, "format")) {
        return;
    }
    const std::string type = text_at(text.at("format"), "type");
    if (type == "json_schema") {
        body["response_format"] = common_json{{"type", type}, {"json_schema", text.at("format")}};
    } else {
        body["response_format"] = text.at("format");
    }
}

void check_biases(const common_json &biases, const ModelFacts &model) {
    for (const auto &[key, value] : biases.items()) {
        const common_json token = biases.is_object()                      ? common_json(key)
                                  : value.is_array() && value.size() == 2 ? value.at(0)
                                                                          : common_json();
        const common_json bias = biases.is_object()                      ? value
                                 : value.is_array() && value.size() == 2 ? value.at(1)
                                                                         : common_json();
        const bool is_banned = bias.is_boolean() && !bias.get<bool>();
        if (token.is_null() || (!bias.is_number() && !is_banned)) {
            throw FieldError("logit_bias", value, "a number or false for each token");
        }
        const std::string text = token.is_string() ? token.get<std::string>() : token.dump();
        char *end = nullptr;
        const long long number = std::strtoll(text.c_str(), &end, 10);
        const bool is_number = !text.empty() && *end == '\0';
        if (is_number && model.vocabulary_size > 0 && (number < 0 || number >= model.vocabulary_size)) {
            throw FieldError("logit_bias", token, "a token from 0 to " + std::to_string(model.vocabulary_size - 1));
        }
    }
}

// The engine refuses top_logprobs without logprobs, and gives no logprobs for 0.
void apply_logprobs(common_json &body) {
    const bool has_logprobs = has_value(body, "logprobs") && body.at("logprobs").get<bool>();
    if (!has_logprobs && has_value(body, "top_logprobs")) {
        throw FieldError("top_logprobs", body.at("top_logprobs"), "no value unless 'logprobs' is true");
    }
    if (has_logprobs && (!has_value(body, "top_logprobs") || body.at("top_logprobs") == 0)) {
        body["top_logprobs"] = 1; // removed from the answer
    }
}

void check_response_format(const common_json &format) {
    const std::string type = text_at(format, "type");
    if (type != "text" && type != "json_object" && type != "json_schema") {
        throw FieldError("response_format", format, "an object whose type is text, json_object or json_schema");
    }
}

} // namespace

void apply_rules(Endpoint endpoint, common_json &body, const ModelFacts &model) {
    if (endpoint == RESPONSES && has_value(body, "text")) {
        move_text_format(body);
    }
    if (has_value(body, "response_format")) {
        check_response_format(body.at("response_format"));
    }
    if (has_value(body, "logit_bias")) {
        check_biases(body.at("logit_bias"), model);
    }
    if (endpoint == CHAT) {
        apply_logprobs(body);
    }
    if (endpoint == CHAT || endpoint == RESPONSES || endpoint == MESSAGES) {
        check_tools(body, model);
        if (has_value(body, "tool_choice")) {
            apply_tool_choice(endpoint, body);
        }
    }
}
