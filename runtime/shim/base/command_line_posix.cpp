#include "base/arguments.h"

Arguments command_line(int argc, char **argv) {
    return Arguments(argv + (argc > 0), argv + argc);
}
