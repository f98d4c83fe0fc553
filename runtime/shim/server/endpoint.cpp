#include "server/endpoint.h"

namespace {

struct Name {
    const char *path; // the end of it: --api-prefix may precede it
    Endpoint endpoint;
};

// The first that fits counts.
constexpr Name NAMES[] = {
    {"/chat/completions", CHAT},
    {"/chat/completions/input_tokens", CHAT},
    {"/v1/completions", COMPLETIONS},
    {"/responses", RESPONSES},
    {"/responses/input_tokens", RESPONSES},
    {"/v1/messages", MESSAGES},
    {"/v1/messages/count_tokens", MESSAGES},
    {"/embeddings", EMBEDDINGS},
    {"/embedding", EMBEDDINGS},
    {"/completion", NATIVE},
    {"/completions", NATIVE},
    {"/infill", NATIVE},
};

} // namespace

Endpoint endpoint_at(const std::string &path) {
    for (const Name &name : NAMES) {
        if (path.ends_with(name.path)) {
            return name.endpoint;
        }
    }
    return NO_ENDPOINT;
}
