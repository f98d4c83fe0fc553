// llamafile: the engine, with the weights and default arguments that its own file carries.

#include "arguments.h"
#include "container.h"
#include "message.h"
#include "model.h"
#include "modes.h"

#include <cstdio>
#include <exception>
#include <string>

namespace {

constexpr const char DEFAULT_ARGUMENTS[] = ".args";

constexpr const char USAGE[] =
    R"(usage: llamafile [--server] [-m FILE] [--host HOST] [--port N] [OPTION…]
       llamafile [--cli] -p TEXT [-m FILE] [-n N] [--temp X] [OPTION…]

Runs a language model from FILE, or from the archive at the end of this very file.
Without a prompt it serves an OpenAI-compatible API at http://127.0.0.1:8080/.

  -m FILE        weights (GGUF): a file, or a member of this llamafile
  -p TEXT        print TEXT and what the model makes of it, then exit
  -f FILE        the same with the text in FILE
  -n N           at most N tokens
  --temp X       sampling temperature; 0 always takes the likeliest token
  -c N           context size in tokens (default: the model's)
  -t N           threads
  --host HOST    address to listen on (default: 127.0.0.1)
  --port N       port to listen on (default: 8080)
  --cli          command line mode, even without a prompt
  --server       server mode, even with a prompt
  -v             say what the engine does
  --version      print the version and exit
  --help         print this text and exit
  --help-engine  print all options of the engine and exit

Arguments in the archive member .args, one a line, come before those of the command line,
or around them where it has a line of three dots.
)";

bool read_defaults(Arguments &defaults) {
    const Container &container = Container::instance();
    const zip::Member *member = container.find_member(DEFAULT_ARGUMENTS);
    std::string text, problem;
    if (member == nullptr) {
        return true;
    }
    if (!container.read_text(*member, text, problem)) {
        complain(problem);
        return false;
    }
    if (text.find('\0') != std::string::npos) {
        complain("'.args' in " + container.path() + " holds a NUL byte; it must be text, one argument a line");
        return false;
    }
    defaults = parse_lines(text);
    return true;
}

bool wants_completion(const Arguments &arguments) {
    const std::string mode = last_of(arguments, {"--cli", "--server"});
    return mode.empty() ? has_option(arguments, {"-p", "--prompt", "-f", "--file", "-bf", "--binary-file"})
                        : mode == "--cli";
}

int run(const char *argument0, const Arguments &user) {
    Container::instance().find(argument0);
    Arguments defaults;
    if (!read_defaults(defaults)) {
        return 1;
    }
    Arguments arguments = merge(defaults, user);
    const bool completion = wants_completion(arguments);
    arguments = without(arguments, {"--cli", "--server", "--nobrowser"});
    if (has_option(arguments, {"--help-engine"})) {
        arguments = {"--help"};
    } else if (!names_model(arguments)) {
        std::string problem;
        const std::string model = only_model(problem);
        if (model.empty()) {
            complain(problem);
            return 1;
        }
        arguments.insert(arguments.begin(), {"-m", model});
    }
    arguments.insert(arguments.begin(), argument0);
    return completion ? run_completion(arguments) : run_server(arguments);
}

} // namespace

int main(int argc, char **argv) {
    const Arguments user = command_line(argc, argv);
    if (has_option(user, {"--help", "-h", "-help"})) {
        std::fputs(USAGE, stdout);
        return 0;
    }
    if (has_option(user, {"--version"})) {
        std::puts("llamafile " LLAMAFILE_VERSION);
        return 0;
    }
    try {
        return run(argc > 0 ? argv[0] : "llamafile", user);
    } catch (const std::exception &error) {
        complain(error.what());
        return 1;
    }
}
