// The text of a completion on standard output, independent of the engine's log.

#pragma once

#include <string>

// Writes bytes immediately, except that it never writes a part of a UTF-8 character. Errors are UserError.
class Output {
  public:
    Output();

    void write(const std::string &text);

    // Writes the rest of an incomplete character, and ends the line.
    void finish();

    // The user has ended the line: the terminal shows the input.
    void line_was_entered();

    bool at_line_start() const { return ends_line && partial.empty(); }

  private:
    std::string partial;
    bool ends_line = true;
};
