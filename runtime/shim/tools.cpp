#include "tools.h"

#include "base/program_name.h"
#include "log.h"
#include "roofline/options.h"
#include "roofline/roofline.h"
#include "rpc/workers.h"
#include "worker/worker.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

// The engine has no header for them.
int llama_bench(int argc, char **argv);
int llama_imatrix(int argc, char **argv);
int llama_perplexity(int argc, char **argv);
int llama_quantize(int argc, char **argv);
int llama_tokenize(int argc, char **argv);

namespace {

struct Named {
    const char *name;
    Tool tool;
};

// The engine's tool, and one more measurement.
int run_bench(int argc, char **argv) {
    const Arguments arguments(argv + 1, argv + argc);
    if (has_option(arguments, {ROOFLINE_OPTION})) {
        return run_roofline(argc, argv);
    }
    if (has_option(arguments, {"--help", "-h"})) {
        std::atexit(print_roofline_usage); // the tool exits after printing its own
    }
    return llama_bench(argc, argv);
}

constexpr Named TOOLS[] = {
    {"llamafile-bench", run_bench},
    {"llamafile-imatrix", llama_imatrix},
    {"llamafile-perplexity", llama_perplexity},
    {"llamafile-quantize", llama_quantize},
    {"llamafile-rpc-server", run_worker},
    {"llamafile-tokenize", llama_tokenize},
};

// The quantizer exits with an error status after printing its usage, even on request.
void exit_successfully() {
    std::fflush(nullptr);
    std::_Exit(0);
}

} // namespace

Tool tool_named(const std::string &argument0) {
    for (const Named &named : TOOLS) {
        if (is_started_as(named.name, argument0)) {
            return named.tool;
        }
    }
    return nullptr;
}

int run_tool(Tool tool, const Arguments &arguments) {
    if (tool == llama_quantize && std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
        std::atexit(exit_successfully);
    }
    if (has_option(arguments, {"--rpc", "-rpc"})) {
        register_rpc_backend();
    }
    const int status = tool(static_cast<int>(arguments.size()), pointers_to(arguments).data());
    common_log_flush(common_log_main()); // the last lines contain the results
    return status;
}
