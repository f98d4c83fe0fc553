// The user's web browser, opened at the page that the server shows.

#pragma once

#include <string>

// While the program is free and has one thread: what opens the browser is made here, outside the sandbox to come.
void prepare_browser();

// Opens ADDRESS + PATH, ADDRESS as the server has it, the first time it is called after prepare_browser(). Returns at
// once; what fails is said, and nothing else comes of it.
void open_browser(const std::string &address, const std::string &path);
