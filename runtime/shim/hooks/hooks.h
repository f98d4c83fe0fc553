// Force-included into the few files of the engine that ask the shim something (runtime/edits.py has where, and why).
// The functions live in the shim, each in the file named beside it.

#ifndef LLAMAFILE_HOOKS_H
#define LLAMAFILE_HOOKS_H

#include <cstddef>
#include <string>

// Whether configuration files and variables of the machine count for nothing (sealed.cpp).
bool llamafile_sealed();

// The text of a file that only the archive has; false leaves it to the engine (archive_text.cpp).
bool llamafile_read_text(const std::string &name, std::string &text);

// The file on disk whose bytes an offset within NAME, as ggml_fopen opened it, counts from the start of
// (member_file.cpp).
std::string llamafile_disk_file(const std::string &name);

// What a response says the model is: FALLBACK is the alias or the file's name, REQUESTED what was asked for
// (server.cpp).
std::string llamafile_model_name(const std::string &fallback, const std::string &requested);

// The server listens on ADDRESS, a URL (server.cpp).
void llamafile_listening(const std::string &address);

// The server has loaded everything and begins to answer; it is the last that the engine's main thread does before
// (server.cpp).
void llamafile_serving();

// Limits of what a request may hold: each throws std::invalid_argument, which becomes an answer of status 400
// (limits.cpp).
void llamafile_check_json(const std::string &text);
void llamafile_check_grammar(const char *text);
void llamafile_check_text(std::size_t size);
void llamafile_check_prompts(std::size_t count);

// Whether there are matrix registers (AMX), and the engine shall use them (cpu_variant.cpp).
bool llamafile_has_amx();

// Runs RUN once for each of PARTS, each in a thread of its own, and waits for all (parallel.cpp).
void llamafile_in_parallel(int parts, const void *task, void (*run)(const void *task, int part, int parts));

// All of MEMORY, SIZE bytes, will be used, and read over and over (huge_pages.cpp).
void llamafile_prefer_huge_pages(void *memory, std::size_t size);

#endif
