// Errors in the form of the API that a client speaks.

#pragma once

#include <cpp-httplib/httplib.h>

#include <string>

struct ApiError {
    int status;
    std::string message;
    std::string field = {}; // of the request that is wrong; empty if it is another matter
};

// Makes RESPONSE the answer to REQUEST that reports ERROR.
void set_error(const httplib::Request &request, httplib::Response &response, const ApiError &error);

// Gives the error that the engine or httplib made of RESPONSE the right status and the right form: the engine reports
// many mistakes of clients as its own (5xx), which clients send again and again.
void correct_error(const httplib::Request &request, httplib::Response &response);

// MESSAGE of the engine's without the name that the JSON library gives its error.
std::string clear_text(const std::string &message);

// True if the errors of PATH have the form of Anthropic's API instead of OpenAI's.
bool is_anthropic(const std::string &path);
