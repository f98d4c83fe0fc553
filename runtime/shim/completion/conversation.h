// What is written and read around a generation: one text, or one in turns with a user.

#pragma once

#include "base/output.h"
#include "base/screen.h"
#include "common.h"
#include "completion/generation.h"

#include <string>

class Conversation {
  public:
    Conversation(const common_params &params, Generation &generation, Output &output, Screen &screen);

    // The prompt, as the user shall see it.
    void show_prompt(const std::string &text);

    // The text that the model makes of the prompt.
    void complete();

    // The same in turns: the model's end at a reverse prompt, the user's with a line.
    void converse();

  private:
    enum class End { STOPPED, ENDED, LIMITED, INTERRUPTED, FULL };

    End speak();
    bool listen();
    void return_control(End end);
    bool stops_at_end(const std::string &text, size_t piece_size, size_t &end) const;

    const common_params &params;
    Generation &generation;
    Output &output;
    Screen &screen;
    bool in_turns;
};
