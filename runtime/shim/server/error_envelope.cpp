#include "server/error_envelope.h"

#include "base/text.h"
#include "json.h"

namespace {

struct Kind {
    int status;
    const char *openai, *anthropic;
};

constexpr Kind KINDS[] = {
    {400, "invalid_request_error", "invalid_request_error"},
    {401, "authentication_error", "authentication_error"},
    {403, "permission_error", "permission_error"},
    {404, "not_found_error", "not_found_error"},
    {413, "invalid_request_error", "request_too_large"},
    {429, "rate_limit_error", "rate_limit_error"},
    {501, "not_supported_error", "api_error"},
    {503, "unavailable_error", "overloaded_error"},
};

Kind kind_of(int status) {
    for (const Kind &kind : KINDS) {
        if (kind.status == status) {
            return kind;
        }
    }
    return status < 500 ? Kind{status, "invalid_request_error", "invalid_request_error"}
                        : Kind{status, "server_error", "api_error"};
}

} // namespace

bool is_anthropic(const std::string &path) {
    return ends_with(path, "/v1/messages") || ends_with(path, "/v1/messages/count_tokens");
}

void set_error(const httplib::Request &request, httplib::Response &response, const ApiError &error) {
    const Kind kind = kind_of(error.status);
    common_json body;
    if (is_anthropic(request.path)) {
        body = common_json{{"type", "error"}, {"error", {{"type", kind.anthropic}, {"message", error.message}}}};
    } else {
        body = common_json{{"error",
                            {{"message", error.message},
                             {"type", kind.openai},
                             {"param", error.field.empty() ? common_json() : common_json(error.field)},
                             {"code", error.status}}}};
    }
    response.status = error.status;
    response.set_content(body.dump_safe(), "application/json; charset=utf-8");
}
