#include "base/engine_log.h"
#include "base/message.h"
#include "base/output.h"
#include "base/screen.h"
#include "completion/completion_options.h"
#include "completion/conversation.h"
#include "completion/generation.h"
#include "completion/projector.h"
#include "completion/prompt.h"
#include "log.h"
#include "modes.h"
#include "mtmd-helper.h"
#include "resolve/model.h"
#include "sandbox/sandbox.h"

#include <clocale>
#include <exception>
#include <string>

namespace {

bool check(const common_params &params, const Prompt &prompt, std::string &problem) {
    return check_model(params.model.path, problem) && (!has_images(prompt) || check_projector(params, problem));
}

// The prompt, shown as soon as it is known to fit, and the text that follows.
void write_text(const common_params &params, const Prompt &prompt, common_init_result &engine, Output &output,
                Screen &screen) {
    Generation generation(params, engine);
    Conversation conversation(params, generation, output, screen);
    if (has_images(prompt)) {
        Projector projector(params, engine.model());
        const mtmd::input_chunks_ptr chunks = projector.tokenize(prompt);
        generation.check_length(mtmd_helper_get_n_tokens(chunks.get()));
        conversation.show_prompt(params.prompt);
        generation.begin(projector.context(), chunks.get());
    } else {
        conversation.show_prompt(generation.begin(params.prompt));
    }
    if (params.interactive || params.interactive_first) {
        conversation.converse();
    } else {
        conversation.complete();
    }
    generation.end();
}

int generate(common_params &params, const Prompt &prompt, Output &output, Screen &screen) {
    llama_backend_init();
    llama_numa_init(params.numa);
    const common_init_result_ptr engine = common_init_from_params(params);
    if (engine->context() == nullptr) {
        complain("cannot load '" + params.model.path + "': " + first_engine_error());
        return 1;
    }
    try {
        write_text(params, prompt, *engine, output, screen);
    } catch (const std::exception &) {
        output.finish(); // or what is wrong would continue the text's last line
        throw;
    }
    return 0;
}

} // namespace

int run_completion(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
    common_params params;
    params.verbosity = LOG_LEVEL_ERROR; // unless -v asks for more, also while options are read
    std::string problem;
    Output output;
    common_init();
    if (!read_completion_options(arguments, params, problem)) {
        if (!problem.empty()) {
            complain(problem);
        }
        return 1;
    }
    listen_to_engine(params.verbosity == LOG_LEVEL_ERROR);
    const Prompt prompt = read_prompt(params);
    if (!check(params, prompt, problem)) {
        complain(problem);
        return 1;
    }
    Screen screen(params);
    // All that the user named has been opened, but for weights and prompt cache; no file has been interpreted yet.
    confine_before_model(params, Mode::COMPLETION);
    const int status = generate(params, prompt, output, screen);
    common_log_flush(common_log_main());
    return status;
}
