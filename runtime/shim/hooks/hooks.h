// Force-included into the engine's files that call the shim (runtime/builder/*_patches.py list each call, with its
// reason). Each function is defined in the shim's file named in parentheses.

#ifndef LLAMAFILE_HOOKS_H
#define LLAMAFILE_HOOKS_H

#include <cstddef>
#include <cstdint>
#include <string>

// True if the engine must ignore the machine's configuration files and environment variables (options/sealed.cpp).
bool llamafile_sealed();

// Reads the archive member NAME, or standard input, into TEXT. Returns false if NAME is a file on disk, or unknown: the
// engine then opens it itself. Throws std::runtime_error if the member is damaged (hooks/archive_text.cpp).
bool llamafile_read_text(const std::string &name, std::string &text);

// Returns the file on disk that contains NAME: the archive for a member, else NAME itself. Offsets in a file that
// ggml_fopen opened count from the start of this file (hooks/member_file.cpp).
std::string llamafile_disk_file(const std::string &name);

// Returns the model name for a response. FALLBACK is the alias or the file's name, REQUESTED the name in the request
// (server/hooks.cpp).
std::string llamafile_model_name(const std::string &fallback, const std::string &requested);

// Called when the server listens on ADDRESS, a URL (server/hooks.cpp).
void llamafile_listening(const std::string &address);

// Called when the server has loaded everything, as the last step of the engine's main thread before it accepts
// requests (server/hooks.cpp).
void llamafile_serving();

// Limits on the content of a request: each throws std::invalid_argument, which becomes a response of status 400
// (server/limits.cpp).
void llamafile_check_json(const std::string &text);
void llamafile_check_grammar(const char *text);
void llamafile_check_text(std::size_t size);
void llamafile_check_prompts(std::size_t count);

// True if the processor has matrix registers (AMX) and the engine may use them (cpu/cpu_variant.cpp).
bool llamafile_has_amx();

// Calls RUN once for each of PARTS, each in its own thread, and waits for all (cpu/parallel.cpp).
void llamafile_in_parallel(int parts, const void *task, void (*run)(const void *task, int part, int parts));

// Asks for huge pages for MEMORY, SIZE bytes that the engine reads completely for each token (cpu/huge_pages.cpp).
void llamafile_prefer_huge_pages(void *memory, std::size_t size);

// Returns how many of CPUS, the processors of the machine, this process may use (cpu/usable_cpus_*.cpp).
int llamafile_usable_cpus(int cpus);

// For threads that wait for each other, called by C (cpu/waiting.cpp).
extern "C" {
// True while a thread that waits since BEGIN, 0 in its first call, may stay active: longer for a higher POLL, 0 to 100.
bool llamafile_may_spin(std::uint64_t *begin, std::uint32_t poll);
// Sleeps while WORD, which other threads change atomically, is VALUE.
void llamafile_sleep_while(int *word, int value);
// Wakes the threads that sleep because of WORD, which has changed.
void llamafile_wake(int *word);
}

#endif
