// The program's help texts.

#pragma once

#include <string>

// Prints all options of llamafile on standard output.
void print_usage();

// Prints instructions for a program without a model, started as ARGUMENT0, on standard error.
void explain_missing_model(const std::string &argument0);
