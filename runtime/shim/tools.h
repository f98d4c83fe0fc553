// The engine's tools, each of which this program is when it is started under its name.

#pragma once

#include "options/arguments.h"

#include <string>

// Its whole life: the arguments are the engine's, those in the archive are not for it.
using Tool = int (*)(int argc, char **argv);

// The tool that ARGUMENT0 names; nothing if it is none. To be asked before the container is looked for.
Tool tool_named(const std::string &argument0);

// Runs it, with the models that the program's own file holds at hand.
int run_tool(Tool tool, const std::string &argument0, const Arguments &arguments);
