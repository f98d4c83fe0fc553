// The source of the engine's RPC backend, whose functions are static: for one file, engine_rpc.cpp, and the headers
// that it is made of. Failures are exceptions instead of aborts.

#pragma once

#include "rpc/lost_worker.h"
#include "rpc/transport.h"
#include "rpc/worker_engine.h"

#include "ggml-backend-impl.h"
#include "ggml-cpp.h"
#include "ggml-impl.h"
#include "ggml-rpc.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

thread_local std::string last_error;

std::string formatted(const char *format, va_list values) {
    char text[512];
    std::vsnprintf(text, sizeof text, format, values);
    return text;
}

// In place of the engine's log: the text becomes the reason for what fails next.
__attribute__((format(printf, 1, 2))) void keep_error(const char *format, ...) {
    va_list values;
    va_start(values, format);
    last_error = formatted(format, values);
    va_end(values);
    while (!last_error.empty() && last_error.back() == '\n') {
        last_error.pop_back();
    }
}

// In place of abort(): an exception, which ends the conversation with a client, or the start of this program. In a
// thread that talks with a worker nothing could catch it.
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    const std::string reason = formatted(format, values);
    va_end(values);
    const std::string worker = worker_of_this_thread();
    if (!worker.empty()) {
        end_without(worker, "its answer makes no sense");
    }
    throw MessageError(last_error.empty() ? reason : last_error);
}

} // namespace

// NOLINTBEGIN
#undef GGML_ABORT
#define GGML_ABORT(...) fail(__VA_ARGS__)
#undef GGML_LOG_ERROR
#define GGML_LOG_ERROR(...) keep_error(__VA_ARGS__)
#include "ggml/src/ggml-rpc/ggml-rpc.cpp"
// NOLINTEND
