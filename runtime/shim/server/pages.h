// The web pages that the server shows: members of the archive, all in memory before the server answers.

#pragma once

#include <string>

// Takes pages into memory: of PATH if that is `/zip/FOLDER`, which is then cleared, because the engine knows only
// folders on disk and serves those itself; without a PATH, those packed with the model (`www/`), else the engine's own
// (`pages/`). False with a sentence in PROBLEM if FOLDER has no index.html, or a page is damaged.
bool load_pages(std::string &path, std::string &problem);

// Whether there is something to show at `/`.
bool has_page();
