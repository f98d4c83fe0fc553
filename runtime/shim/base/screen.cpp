#include "base/screen.h"

#include "base/output.h"

#include <clocale>
#include <csignal>
#include <cstdlib>

#ifdef _WIN32
#include <io.h>
#else
#include <termios.h>
#include <unistd.h>
#endif

namespace {

// What the signal handler, which may call next to nothing, needs to know.
volatile std::sig_atomic_t may_interrupt = 0;
volatile std::sig_atomic_t was_interrupted = 0;
volatile std::sig_atomic_t on_terminal = 0;

constexpr const char LEAVING[] = "\x1b[0m\n"; // the user's own colour, and a line of his own
constexpr size_t COLOR_SIZE = 4;

volatile std::sig_atomic_t has_color = 0;

#ifdef _WIN32

void save_terminal() {}

void restore_terminal() {}

void put(const char *bytes, size_t size) {
    _write(1, bytes, static_cast<unsigned>(size));
}

#else

termios terminal_before;
volatile std::sig_atomic_t terminal_saved = 0;

void save_terminal() {
    terminal_saved = tcgetattr(STDIN_FILENO, &terminal_before) == 0;
}

void restore_terminal() {
    if (terminal_saved != 0) {
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
    }
}

void put(const char *bytes, size_t size) {
    if (write(STDOUT_FILENO, bytes, size) < 0) {
        return; // the program ends anyway
    }
}

#endif

void on_interrupt(int) {
    if (may_interrupt != 0 && was_interrupted == 0) {
        was_interrupted = 1;
        std::signal(SIGINT, on_interrupt); // Windows forgets it with every signal
        return;
    }
    restore_terminal();
    if (on_terminal != 0) {
        const size_t skipped = has_color != 0 ? 0 : COLOR_SIZE;
        put(LEAVING + skipped, sizeof LEAVING - 1 - skipped);
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
    std::setlocale(LC_NUMERIC, "C"); // console::init() took the user's, and the engine reads numbers
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
