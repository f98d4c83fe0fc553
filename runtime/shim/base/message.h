// The messages of llamafile itself: one sentence a line on standard error, after the program's name.

#pragma once

#include <string>

void log_line(const std::string &sentence);

// Lets each line reach standard error whole: the engine's log has a thread of its own, which writes lines in pieces,
// and the browser's helper is a process of its own. Must be called before any output.
void buffer_errors_by_line();
