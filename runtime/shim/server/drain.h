// The end of a server that lets the running answers finish. Each request is answered by one thread.

#pragma once

#include <string>

// Marks the answer to one request, from the reading of the request to the last byte of the answer.
class AnswerScope {
  public:
    AnswerScope();
    ~AnswerScope();
    AnswerScope(const AnswerScope &) = delete;
    AnswerScope &operator=(const AnswerScope &) = delete;
};

// Whether the server answers a request for PATH, in whose AnswerScope this is called. While it drains, it only answers
// what belongs to the running answers.
bool admit_request(const std::string &path);

// Whether the server is ending.
bool is_draining();

// From now on, requests are refused. Returns when no answer is running, or after SECONDS, and says so in the log. Must
// not be called in a signal handler.
void drain(int seconds);
