// Output and input around a generation: one text, or turns of model and user.

#pragma once

#include "common.h"
#include "completion/generation.h"
#include "completion/output.h"
#include "completion/screen.h"

#include <string>

class Conversation {
  public:
    Conversation(const common_params &params, Generation &generation, Output &output, Screen &screen);

    // Writes the prompt for the user.
    void show_prompt(const std::string &text);

    // Writes the model's continuation of the prompt.
    void complete();

    // Takes turns: the model's end at a reverse prompt, the user's with a line.
    void run_turns();

  private:
    enum class End { STOPPED, ENDED, LIMITED, INTERRUPTED, FULL };

    End write_turn();
    bool read_turn();
    void return_control(End end);
    bool stops_at_end(const std::string &text, size_t piece_size, size_t &end) const;

    const common_params &params;
    Generation &generation;
    Output &output;
    Screen &screen;
    bool in_turns;
};
