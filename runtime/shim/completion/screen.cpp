#include "completion/screen.h"

#include "base/file.h"
#include "base/terminal.h"

#include <clocale>
#include <csignal>
#include <cstdlib>

namespace {

// State of the signal handler.
volatile std::sig_atomic_t may_interrupt = 0;
volatile std::sig_atomic_t was_interrupted = 0;
volatile std::sig_atomic_t on_terminal = 0;

constexpr const char LEAVING[] = "\x1b[0m\n"; // resets the colour and ends the line
constexpr size_t COLOR_SIZE = 4;

volatile std::sig_atomic_t has_color = 0;

void on_interrupt(int) {
    if (may_interrupt != 0 && was_interrupted == 0) {
        was_interrupted = 1;
        std::signal(SIGINT, on_interrupt); // Windows removes a handler before it calls it
        return;
    }
    restore_terminal();
    if (on_terminal != 0) {
        const size_t skipped = has_color != 0 ? 0 : COLOR_SIZE;
        write_to(STANDARD_OUTPUT_DESCRIPTOR, LEAVING + skipped, sizeof LEAVING - 1 - skipped);
    }
    std::_Exit(130);
}

} // namespace

Screen::Screen(const common_params &params) {
    const bool edits_lines = (params.interactive || params.interactive_first) && !params.simple_io &&
                             is_terminal(stdin) && is_terminal(stdout);
    on_terminal = is_terminal(stdout);
    has_color = params.use_color;
    if (edits_lines) {
        save_terminal();
    }
    console::init(!edits_lines, params.use_color);
    std::setlocale(LC_NUMERIC, "C"); // console::init() sets the user's; the engine parses numbers
    std::signal(SIGINT, on_interrupt);
}

Screen::~Screen() {
    console::cleanup();
}

void Screen::show(display_type display) {
    console::set_display(display);
}

std::string Screen::read(bool multiline) {
    may_interrupt = 0;
    show(DISPLAY_TYPE_USER_INPUT);
    std::string text, line;
    bool more = true;
    while (more) {
        more = console::readline(line, multiline);
        text += line;
    }
    show(DISPLAY_TYPE_RESET);
    return text;
}

void Screen::allow_interruption() {
    was_interrupted = 0;
    may_interrupt = 1;
}

bool Screen::interrupted() const {
    return was_interrupted != 0;
}
