// llamafile: the engine, with the weights and default arguments in the program's own file.

#include "base/arguments.h"
#include "base/first_process.h"
#include "base/inheritance.h"
#include "base/message.h"
#include "base/stack.h"
#include "gpu/gpu.h"
#include "launch.h"

#include <exception>
#include <optional>

int main(int argc, char **argv) {
    correct_inheritance();
    end_on_signals_as_first_process();
    buffer_errors_by_line();
    try {
        ensure_stack();
        if (const std::optional<int> status = probe_status()) {
            return *status;
        }
        return start(prepare(argc > 0 ? argv[0] : "llamafile", command_line(argc, argv)));
    } catch (const std::exception &error) { // UserError, or the engine's
        log_line(explanation_of(error));
        return 1;
    }
}
