// llamafile: the engine, with the weights and default arguments in the program's own file.

#include "base/arguments.h"
#include "base/message.h"
#include "base/stack.h"
#include "launch.h"

#include <exception>

int main(int argc, char **argv) {
    buffer_errors_by_line();
    try {
        ensure_stack();
        return start(prepare(argc > 0 ? argv[0] : "llamafile", command_line(argc, argv)));
    } catch (const std::exception &error) { // UserError, or the engine's
        log_line(error.what());
        return 1;
    }
}
