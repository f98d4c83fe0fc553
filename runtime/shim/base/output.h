// The text of a completion on standard output, independent of the engine's log.

#pragma once

#include <cstdio>
#include <string>

bool is_terminal(std::FILE *stream);

// Bytes as they come, except that no character of UTF-8 is ever written in parts. Errors are std::runtime_error.
class Output {
  public:
    Output();

    void write(const std::string &text);

    // What is left of a character that never became whole, and the end of the line.
    void finish();

    // A terminal shows what is typed, so its line ended without us.
    void line_was_entered();

    bool at_line_start() const { return ends_line && partial.empty(); }

  private:
    std::string partial;
    bool ends_line = true;
};
