// Text in the form of INI files, as the engine reads lists of models: sections in brackets, lines NAME = VALUE, and
// comments behind `#` or `;`, which therefore are in no value.

#pragma once

#include <string>
#include <vector>

struct IniEntry {
    std::string name, value;
    int line; // from 1
};

struct IniSection {
    std::string name; // empty for what precedes the first one
    int line = 0;
    std::vector<IniEntry> entries;
};

// The sections of TEXT in their order. Throws UserError, with the line, if TEXT is not of this form.
std::vector<IniSection> parse_ini(const std::string &text);
