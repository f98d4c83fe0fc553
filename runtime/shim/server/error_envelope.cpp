#include "server/error_envelope.h"

#include "json.h"

#include <algorithm>

namespace {

struct Kind {
    int status;
    const char *openai, *anthropic;
    const char *message; // for an error without one
};

constexpr Kind KINDS[] = {
    {400, "invalid_request_error", "invalid_request_error", "the request is not valid HTTP"},
    {401, "authentication_error", "authentication_error", "the request has no valid API key"},
    {403, "permission_error", "permission_error", "this is not permitted"},
    {404, "not_found_error", "not_found_error", "there is no such path"},
    {405, "invalid_request_error", "invalid_request_error", "the path has no such method"},
    {413, "invalid_request_error", "request_too_large",
     "the body of the request is too large; without 'Content-Type: application/json' it may have 1 MiB"},
    {414, "invalid_request_error", "invalid_request_error", "the path of the request is too long"},
    {415, "invalid_request_error", "invalid_request_error",
     "the server cannot decode this Content-Encoding; send none"},
    {416, "invalid_request_error", "invalid_request_error", "the header Range names no part of the content"},
    {429, "rate_limit_error", "rate_limit_error", "too many requests"},
    {501, "not_supported_error", "api_error", "the server does not support this"},
    {503, "unavailable_error", "overloaded_error", "the server is not ready"},
};

// What the engine says when it fails itself. Its other errors of status 500 are exceptions of its parsers, templates
// and decoders: another request helps.
constexpr const char *OWN_FAILURES[] = {
    "Compute error",       "Invalid input batch", "got exception: ",   "std::bad_alloc",  "unknown error",
    "Unable to save slot", "failed to process",   "unsupported batch", "cannot be loaded"};

constexpr const char CONTEXT_EXCEEDED[] = "exceed_context_size_error";

Kind kind_of(int status) {
    const auto *known =
        std::find_if(std::begin(KINDS), std::end(KINDS), [&](const Kind &kind) { return kind.status == status; });
    if (known != std::end(KINDS)) {
        return *known;
    }
    return status < 500 ? Kind{status, "invalid_request_error", "invalid_request_error", "the request is not valid"}
                        : Kind{status, "server_error", "api_error", "the server failed"};
}

bool is_own_failure(const std::string &message) {
    return std::any_of(std::begin(OWN_FAILURES), std::end(OWN_FAILURES),
                       [&](const char *words) { return message.find(words) != std::string::npos; });
}

// The value of `code`: OpenAI's API has strings there, the engine's own the status.
common_json code_of(const std::string &path, int status, const std::string &type) {
    if (path.find("/v1/") == std::string::npos) {
        return status;
    }
    return type == CONTEXT_EXCEEDED ? common_json("context_length_exceeded") : common_json();
}

common_json envelope(const std::string &path, const Kind &kind, const ApiError &error, const std::string &type) {
    if (is_anthropic(path)) {
        return {{"type", "error"}, {"error", {{"type", kind.anthropic}, {"message", error.message}}}};
    }
    common_json body = {{"message", error.message}, {"type", type.empty() ? kind.openai : type}};
    body["param"] = error.field.empty() ? common_json() : common_json(error.field);
    body["code"] = code_of(path, kind.status, type);
    return {{"error", body}};
}

void set_body(httplib::Response &response, int status, const common_json &body) {
    response.status = status;
    response.set_content(body.dump_safe(), "application/json; charset=utf-8");
}

// The error in the body of RESPONSE, as the engine writes it; null if there is none.
common_json engine_error(const httplib::Response &response) {
    const common_json body = common_json::parse_no_throw(response.body);
    const bool has_error = body.is_object() && body.contains("error") && body.at("error").is_object();
    return has_error ? body.at("error") : common_json();
}

std::string text_of(const common_json &error, const std::string &name) {
    return error.is_object() && error.contains(name) && error.at(name).is_string() ? error.at(name).get<std::string>()
                                                                                   : std::string();
}

} // namespace

std::string clear_text(const std::string &message) {
    const bool is_of_library = message.starts_with("[json.exception.");
    const std::string text = is_of_library ? message.substr(message.find("] ") + 2) : message;
    return (text.starts_with("parse error") ? "the body is not JSON: " : "") + text;
}

bool is_anthropic(const std::string &path) {
    return path.ends_with("/v1/messages") || path.ends_with("/v1/messages/count_tokens");
}

void set_error(const httplib::Request &request, httplib::Response &response, const ApiError &error) {
    set_body(response, error.status, envelope(request.path, kind_of(error.status), error, ""));
}

void correct_error(const httplib::Request &request, httplib::Response &response) {
    const common_json error = engine_error(response);
    ApiError corrected{response.status, clear_text(text_of(error, "message")), text_of(error, "param")};
    std::string type = text_of(error, "type");
    if (error.is_null()) {
        corrected.message = response.body.empty() ? kind_of(response.status).message : response.body;
    } else if (response.status == 500 && !is_own_failure(corrected.message)) {
        corrected.status = 400;
        type.clear();
    }
    common_json body = envelope(request.path, kind_of(corrected.status), corrected, type);
    for (const char *detail : {"n_prompt_tokens", "n_ctx"}) {
        if (error.is_object() && error.contains(detail)) {
            body["error"][detail] = error.at(detail);
        }
    }
    set_body(response, corrected.status, body);
}
