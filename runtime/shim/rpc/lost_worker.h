// The end of this program when a worker is gone: a part of the model was there, so nothing can be computed any more.

#pragma once

#include <string>

// The sentence about the worker that is gone; empty while all are there.
std::string lost_worker();

// Lets end_without() leave running requests time for an error as their answer: for servers.
void leave_time_for_answers();

// Prints why WORKER, a host and port, is gone and ends the process with status 1. Called in any thread.
[[noreturn]] void end_without(const std::string &worker, const std::string &reason);
