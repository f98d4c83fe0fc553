// What llamafile itself says: one sentence a line, on standard error, after its name.

#pragma once

#include <string>

void complain(const std::string &sentence);

// Makes lines come out whole, whoever else writes at the same time: the engine has a thread for its log, which it
// writes in pieces, and what opens a browser is a process of its own. To be called before anything is written.
void keep_lines_whole();
