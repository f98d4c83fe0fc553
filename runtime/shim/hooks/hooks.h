// Force-included into the engine's files that call the shim (runtime/builder/*_patches.py list each call, with its
// reason). Each function is defined in the shim's file named in parentheses.

#ifndef LLAMAFILE_HOOKS_H
#define LLAMAFILE_HOOKS_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct common_adapter_lora_info;
struct common_chat_templates;
struct common_chat_templates_inputs;
struct common_params;
struct llama_context;
struct llama_vocab;
struct server_prompt;
struct server_tokens;

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

// The states of system prompts, which files keep for the next start (prompts/hooks.cpp).
// Called when the server has loaded its model, as PARAMS say, into CONTEXT.
void llamafile_loaded(const common_params &params, llama_context *context);
// Called in the thread of a request for an answer in a conversation: TEMPLATES have rendered INPUTS as PROMPT.
void llamafile_rendered(const common_chat_templates *templates, const common_chat_templates_inputs &inputs,
                        const std::string &prompt);
// Returns how many of TOKENS, which are those of TEXT, are of the system prompt that this thread has rendered; 0 if it
// has rendered another text, or one that is not worth keeping.
int llamafile_system_tokens(const llama_vocab *vocabulary, const std::string &text, const server_tokens &tokens);
// Replaces the state of SEQUENCE, whose tokens are in PROMPT, by one from a file, if that has more of the tokens
// WANTED. MAY_CUT says whether the engine can remove tokens from the end of a state.
void llamafile_restore_prompt(llama_context *target, llama_context *draft, int sequence,
                              const std::vector<common_adapter_lora_info> &adapters, bool may_cut,
                              const server_tokens &wanted, server_prompt &prompt);
// Copies the state of SEQUENCE if PROMPT has SYSTEM_TOKENS tokens, to write it later. Returns how many tokens PROMPT
// must have for the next call; a negative number if none is needed.
int llamafile_keep_prompt(llama_context *target, llama_context *draft, int sequence,
                          const std::vector<common_adapter_lora_info> &adapters, const server_prompt &prompt,
                          int system_tokens);
// Called when the answer of SEQUENCE has ended.
void llamafile_answer_ended(int sequence);

// Limits on the content of a request: each throws std::invalid_argument, which becomes a response of status 400
// (server/limits.cpp).
void llamafile_check_json(const std::string &text);
void llamafile_check_grammar(const char *text);
void llamafile_check_text(std::size_t size);
void llamafile_check_prompts(std::size_t count);

// The router, which serves several models with a child process for each (server/router.cpp). The child's command line
// for the engine's ARGUMENTS, with the program first, and what its environment needs beside this process's own.
std::vector<std::string> llamafile_child_command(const std::vector<std::string> &arguments);
std::vector<std::string> llamafile_child_environment();
// The key that children want with each request, and that only this process has.
std::string llamafile_child_key();
// Prints LINE of the output of the child that serves MODEL.
void llamafile_child_line(const std::string &model, const std::string &line);
// Why MODEL could not be loaded, as a sentence; it follows the child's last line.
std::string llamafile_load_failure(const std::string &model);
// The error in the API's form for a child that gives no answer because of REASON.
std::string llamafile_child_failure(const std::string &reason);
// The one of the models NAMES that serves requests without a name; empty if there are none.
std::string llamafile_default_model(const std::vector<std::string> &names);
// That no model of NAMES is called NAME, as a sentence.
std::string llamafile_unknown_model(const std::string &name, const std::vector<std::string> &names);
// True if a GET of PATH may load the model that it is about.
bool llamafile_loads_for(const std::string &path);
// Why the model NAME cannot be downloaded, as a sentence; empty if it can be.
std::string llamafile_download_refusal(const std::string &name);
// The memory that the weights MODEL and PROJECTOR need, in bytes, and whether that many as WANTED fit beside those that
// loaded models have TAKEN.
std::uint64_t llamafile_memory_of(const std::string &model, const std::string &projector);
bool llamafile_has_room(std::uint64_t taken, std::uint64_t wanted);

// True if the processor has matrix registers (AMX) and the engine may use them (cpu/cpu_variant.cpp).
bool llamafile_has_amx();

// Calls RUN once for each of PARTS, each in its own thread, and waits for all (cpu/parallel.cpp).
void llamafile_in_parallel(int parts, const void *task, void (*run)(const void *task, int part, int parts));

// Asks for huge pages for MEMORY, SIZE bytes that the engine reads completely for each token (cpu/pages.cpp).
void llamafile_prefer_huge_pages(void *memory, std::size_t size);

// Fills MEMORY, SIZE bytes that no file is mapped to, with zeros; it may take up none until it is used (cpu/pages.cpp).
void llamafile_zero(void *memory, std::size_t size);

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
