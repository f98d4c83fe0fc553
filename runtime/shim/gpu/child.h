// A child process that may crash or hang, and its output.

#pragma once

#include <string>

struct ChildResult {
    enum class End {
        EXITED,
        CRASHED,
        TIMED_OUT,   // and was killed
        NOT_STARTED, // the system refuses to start it
    };

    End end = End::NOT_STARTED;
    int status = 0;     // the exit status, the signal, or the system's error
    std::string output; // standard output
    std::string errors; // standard error
};

// Runs PROGRAM without arguments for at most LIMIT seconds.
ChildResult run_child(const std::string &program, int limit);
