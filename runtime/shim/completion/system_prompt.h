// A system prompt for a server: the engine has none, but its page has a setting.

#pragma once

#include <string>

// The settings that give the server's page the system prompt in FILE, on disk or in the archive; false with PROBLEM if
// it cannot be read. The file is text, or a JSON object with the text under "prompt", as the first llamafiles had it.
bool page_settings(const std::string &file, std::string &settings, std::string &problem);
