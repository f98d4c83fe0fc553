// The terminal that a completion is shown on: colours, lines that are typed, and Control-C.

#pragma once

#include "common.h"
#include "console.h"

#include <string>

// One at a time. While it lives, Control-C ends the program with status 130, or gives control back to the user.
class Screen {
  public:
    explicit Screen(const common_params &params);
    ~Screen();
    Screen(const Screen &) = delete;
    Screen &operator=(const Screen &) = delete;

    // In which colour what follows is shown, if there are colours.
    void show(display_type display);

    // What the user enters, with the newline at its end; empty at the end of the input.
    std::string read(bool multiline);

    // From here on until read(), the first Control-C only asks to stop, which interrupted() tells.
    void allow_interruption();
    bool interrupted() const;
};
