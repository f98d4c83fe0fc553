// The endpoints whose requests are checked, and whose answers are corrected, field by field.

#pragma once

#include <string>

enum Endpoint : unsigned {
    NO_ENDPOINT = 0,
    CHAT = 1,        // /v1/chat/completions
    COMPLETIONS = 2, // /v1/completions
    RESPONSES = 4,   // /v1/responses
    MESSAGES = 8,    // /v1/messages
    EMBEDDINGS = 16, // /v1/embeddings
    NATIVE = 32,     // /completion
};

// The endpoint at PATH, or at another name for it; NO_ENDPOINT if PATH is none of these.
Endpoint endpoint_at(const std::string &path);
