#include "server/response_answers.h"

#include "server/json_value.h"

#include <ctime>
#include <map>
#include <memory>
#include <string>

namespace {

void add_missing(common_json &object, const char *name, const common_json &value) {
    if (!object.contains(name)) {
        object[name] = value;
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

// The events of one stream.
class ResponseEvents {
  public:
    explicit ResponseEvents(const common_json &body) : request(body) {}

    void change(common_json &event);

  private:
    // The place in the output of the item that EVENT is about.
    size_t index_of(const common_json &event);

    common_json request;
    std::map<std::string, size_t> places; // of items, by their names
    int count = 0;
};

size_t ResponseEvents::index_of(const common_json &event) {
    const common_json name = has_value(event, "item_id") ? event.at("item_id") : requested(event.at("item"), "id", "");
    return places.emplace(name.get<std::string>(), places.size()).first->second;
}

void ResponseEvents::change(common_json &event) {
    if (!has_value(event, "type")) {
        return;
    }
    const std::string type = event.at("type").get<std::string>();
    add_missing(event, "sequence_number", count++);
    if (has_value(event, "response")) {
        common_json &response = event.at("response");
        add_missing(response, "created_at", static_cast<int64_t>(std::time(nullptr)));
        add_missing(response, "model", requested(request, "model", ""));
        add_missing(response, "output", common_json::array());
        complete_response(response, request);
        event["type"] = response.at("status") == "incomplete" ? "response.incomplete" : type;
    } else if (has_value(event, "item_id") || has_value(event, "item")) {
        add_missing(event, "output_index", index_of(event));
    }
    if (type.find(".output_text.") != std::string::npos || type.find(".content_part.") != std::string::npos ||
        type.find(".reasoning_text.") != std::string::npos) {
        add_missing(event, "content_index", 0);
    }
    if (type.find(".output_text.") != std::string::npos) {
        add_missing(event, "logprobs", common_json::array());
    }
    if (has_value(event, "part")) {
        add_missing(event.at("part"), "annotations", common_json::array());
    }
}

} // namespace

AnswerChange response_change(const common_json &request) {
    const auto events = std::make_shared<ResponseEvents>(request);
    return [events, request](common_json &answer) {
        if (has_value(answer, "object") && answer.at("object") == "response") {
            complete_response(answer, request);
        } else {
            events->change(answer);
        }
    };
}
