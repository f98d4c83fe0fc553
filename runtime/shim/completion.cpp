#include "arg.h"
#include "common.h"
#include "engine_log.h"
#include "llama.h"
#include "log.h"
#include "message.h"
#include "model.h"
#include "modes.h"
#include "sampling.h"

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// Generated text on standard output, as its bytes come, and whether one of the stop strings has appeared at its end.
class Output {
  public:
    explicit Output(std::vector<std::string> stops) : stop_strings(std::move(stops)) {}

    void write(const std::string &piece) {
        if (std::fwrite(piece.data(), 1, piece.size(), stdout) != piece.size() || std::fflush(stdout) != 0) {
            throw std::runtime_error(std::string("cannot write the text: ") + std::strerror(errno));
        }
        if (!piece.empty()) {
            ends_line = piece.back() == '\n';
        }
    }

    bool write_generated(const std::string &piece) {
        write(piece);
        generated += piece;
        return std::any_of(stop_strings.begin(), stop_strings.end(), [&](const std::string &stop) {
            // A stop string may begin in an earlier piece and need not end with this one.
            const size_t from = generated.size() - std::min(generated.size(), piece.size() + stop.size());
            return !stop.empty() && generated.find(stop, from) != std::string::npos;
        });
    }

    void finish() {
        if (!ends_line) {
            write("\n");
        }
    }

  private:
    std::vector<std::string> stop_strings;
    std::string generated;
    bool ends_line = true;
};

bool decode(llama_context *context, std::vector<llama_token> &tokens) {
    const auto batch_size = static_cast<size_t>(llama_n_batch(context));
    for (size_t at = 0; at < tokens.size(); at += batch_size) {
        const auto count = static_cast<int32_t>(std::min(batch_size, tokens.size() - at));
        if (llama_decode(context, llama_batch_get_one(&tokens[at], count)) != 0) {
            complain("the engine could not compute the next token: " + first_engine_error());
            return false;
        }
    }
    return true;
}

int generate(const common_params &params, common_init_result &engine) {
    llama_context *context = engine.context();
    common_sampler *sampler = engine.sampler(0);
    const llama_vocab *vocabulary = llama_model_get_vocab(engine.model());

    std::vector<llama_token> tokens = common_tokenize(context, params.prompt, true, true);
    if (tokens.empty()) {
        complain("the prompt is empty and this model begins with no token of its own; give one with -p or -f");
        return 1;
    }
    size_t room = llama_n_ctx(context);
    if (tokens.size() >= room) {
        complain("the prompt has " + std::to_string(tokens.size()) + " tokens, but the context holds only " +
                 std::to_string(room) + "; give a larger one with -c");
        return 1;
    }
    room -= tokens.size();

    Output output(params.antiprompt);
    if (params.display_prompt) {
        output.write(params.prompt);
    }
    for (const llama_token token : tokens) {
        common_sampler_accept(sampler, token, false);
    }
    int status = 0;
    for (int remaining = params.n_predict; remaining != 0; --remaining) {
        if (!decode(context, tokens)) {
            status = 1;
            break;
        }
        const llama_token token = common_sampler_sample(sampler, context, -1);
        common_sampler_accept(sampler, token, true);
        if (llama_vocab_is_eog(vocabulary, token) ||
            output.write_generated(common_token_to_piece(context, token, params.special))) {
            break;
        }
        if (--room == 0 && remaining != 1) {
            complain("the context is full; give a larger one with -c");
            break;
        }
        tokens = {token};
    }
    output.finish();
    return status;
}

} // namespace

int run_completion(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
    std::vector<char *> argv;
    for (const std::string &argument : arguments) {
        argv.push_back(const_cast<char *>(argument.c_str()));
    }
    common_params params;
    const int default_verbosity = params.verbosity;
    common_init();
    if (!common_params_parse(static_cast<int>(argv.size()), argv.data(), params, LLAMA_EXAMPLE_COMPLETION)) {
        return 1;
    }
    listen_to_engine(params.verbosity == default_verbosity);
    std::string problem;
    if (!check_model(params.model.path, problem)) {
        complain(problem);
        return 1;
    }
    params.warmup = false; // one prompt is all there is: warming up would cost what it saves
    llama_backend_init();
    llama_numa_init(params.numa);
    const common_init_result_ptr engine = common_init_from_params(params);
    if (engine->context() == nullptr) {
        complain("cannot load '" + params.model.path + "': " + first_engine_error());
        return 1;
    }
    const int status = generate(params, *engine);
    common_log_flush(common_log_main());
    return status;
}
