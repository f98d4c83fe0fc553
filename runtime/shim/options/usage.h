// What the program says of itself.

#pragma once

#include <string>

// All options of llamafile, on standard output.
void print_usage();

// What to do with a program that was started by the name ARGUMENT0 and has no model, on standard error.
void explain_missing_model(const std::string &argument0);
