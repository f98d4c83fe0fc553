// System prompts for the server: the engine's server has none, but its web page has a setting.

#pragma once

#include <string>

// The page's settings, as JSON, with the system prompt in FILE, which is on disk or in the archive. FILE is text, or a
// JSON object with the text as "prompt", like in the first llamafiles. Throws UserError if it cannot be read.
std::string page_settings(const std::string &file);
