#include "tools.h"

#include "archive/container.h"
#include "base/program_name.h"
#include "log.h"
#include "options/sealed.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

// None of them has a header.
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

constexpr Named TOOLS[] = {
    {"llamafile-bench", llama_bench},           {"llamafile-imatrix", llama_imatrix},
    {"llamafile-perplexity", llama_perplexity}, {"llamafile-quantize", llama_quantize},
    {"llamafile-tokenize", llama_tokenize},
};

// The quantizer calls its usage an error even if that is what it was asked for.
void succeed() {
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

int run_tool(Tool tool, const std::string &argument0, const Arguments &arguments) {
    Container &container = Container::instance();
    container.find(argument0.c_str());
    seal(container.is_packed());
    if (tool == llama_quantize && std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
        std::atexit(succeed);
    }
    Arguments all = {argument0};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const int status = tool(static_cast<int>(all.size()), pointers_to(all).data());
    common_log_flush(common_log_main()); // what a tool found out is in its last lines
    return status;
}
