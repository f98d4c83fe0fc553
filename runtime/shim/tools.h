// The engine's tools: started under the name of one, the program is this tool.

#pragma once

#include "base/arguments.h"

#include <string>

// The main() of a tool.
using Tool = int (*)(int argc, char **argv);

// The tool that ARGUMENT0 names; null if it names none. Must be called before find_own_container().
Tool tool_named(const std::string &argument0);

// Runs TOOL with ARGUMENTS, the tool's name first. Default arguments in the archive are not for tools; its models are.
int run_tool(Tool tool, const Arguments &arguments);
