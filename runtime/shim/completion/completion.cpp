#include "completion/completion.h"

#include "base/user_error.h"
#include "completion/completion_options.h"
#include "completion/conversation.h"
#include "completion/generation.h"
#include "completion/projector.h"
#include "completion/prompt.h"
#include "completion/screen.h"
#include "engine/engine_log.h"
#include "log.h"
#include "mtmd-helper.h"
#include "resolve/model.h"
#include "sandbox/sandbox.h"

#include <clocale>
#include <exception>
#include <string>

namespace {

// Writes the prompt as soon as it is known to fit into the context, then the generated text.
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
        conversation.run_turns();
    } else {
        conversation.complete();
    }
    generation.end();
}

void generate(common_params &params, const Prompt &prompt, Output &output, Screen &screen) {
    llama_backend_init();
    llama_numa_init(params.numa);
    const common_init_result_ptr engine = common_init_from_params(params);
    if (engine->context() == nullptr) {
        throw UserError("cannot load '" + params.model.path + "': " + first_engine_error());
    }
    try {
        write_text(params, prompt, *engine, output, screen);
    } catch (const std::exception &) {
        output.finish(); // otherwise the message would continue the last line of the text
        throw;
    }
}

} // namespace

int run_completion(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
    common_params params;
    params.verbosity = LOG_LEVEL_ERROR; // -v increases it; applies also while options are parsed
    Output output;
    common_init();
    if (!read_completion_options(arguments, params)) {
        return 1;
    }
    capture_engine_log(params.verbosity == LOG_LEVEL_ERROR);
    const Prompt prompt = read_prompt(params);
    check_model(params.model.path);
    if (has_images(prompt)) {
        check_projector(params);
    }
    Screen screen(params);
    // All files that the options name are open, except weights and prompt cache; none has been parsed.
    confine_before_model(params, Mode::COMPLETION);
    generate(params, prompt, output, screen);
    common_log_flush(common_log_main());
    return 0;
}
