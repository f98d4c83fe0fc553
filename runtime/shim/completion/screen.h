// The terminal of a completion: colours, input lines, and Control-C.

#pragma once

#include "common.h"
#include "console.h"

#include <string>

// At most one object exists. During its lifetime, Control-C ends the program with status 130, or the model's turn.
class Screen {
  public:
    explicit Screen(const common_params &params);
    ~Screen();
    Screen(const Screen &) = delete;
    Screen &operator=(const Screen &) = delete;

    // Sets the colour of the output that follows, if there are colours.
    void show(display_type display);

    // Reads the user's input, with the newline at its end; empty at the end of the input.
    std::string read(bool multiline);

    // Until the next read(), the first Control-C only sets interrupted().
    void allow_interruption();
    bool interrupted() const;
};
