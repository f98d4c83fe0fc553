// Translates a command line of llamafile's into one of the engine's.

#pragma once

#include "engine/engine_options.h"
#include "gpu/gpu.h"
#include "options/flags.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The state of program and machine that the meaning of a command line depends on.
struct TranslationContext {
    Mode mode = Mode::SERVER;
    bool is_sealed = false; // downloads are refused
    EngineOptions engine;
    GpuSearch gpu_search;
    bool has_workers = false; // other hosts, whose devices are to the engine what GPUs are
};

// The options that the shim handles itself.
struct LaunchOptions {
    bool opens_browser = true;
    bool has_sandbox = true;
    std::vector<std::string> allowed_origins; // of web pages that may use the server
    std::optional<int> shutdown_seconds;      // for running answers
    std::string first_model;                  // of several
    uint64_t models_memory = 0;               // that several models may take, in bytes; 0 for what is available
    std::optional<int> disk_cache_mebibytes;  // for the states of system prompts; 0 turns them off
    std::string workers;                      // hosts that compute a part of the model, as --rpc lists them
    int worker_seconds = 0;                   // to wait until they are there
};

struct Translation {
    Arguments arguments; // for the engine, without the program's name
    LaunchOptions launch_options;
    std::vector<std::string> remarks; // on options without effect; each once
    std::string refusal;              // why the program cannot start; empty if it can
};

Translation translate(const Options &options, const TranslationContext &context);

// The state of a translation, which the functions in the table of flags change.
class Translator {
  public:
    explicit Translator(const TranslationContext &context) : translation_context(context) {}

    const TranslationContext &context() const { return translation_context; }
    LaunchOptions &launch_options() { return launch; }

    // Adds an option for the engine. If the engine has it in other modes only, adds a remark instead.
    void pass(const std::string &name, const Arguments &values = {});

    void remark(const std::string &name, const std::string &reason);

    // Only the first refusal is reported.
    void refuse(const std::string &reason);

    // The load mode of the weights: two flags of llamafile's are one option of the engine's.
    void set_mapped(bool value) { mapped = value, is_load_mode_set = true; }
    void set_locked() { locked = is_load_mode_set = true; }

    void add(const Option &option);
    Translation finish();

  private:
    void add_stray(const std::string &word, const std::string &previous);
    void add_load_mode();
    std::string engine_reason(const std::string &name, const Arguments &values) const;

    struct Passed {
        std::string name;
        Arguments values;
    };

    const TranslationContext &translation_context;
    std::string current; // the option as the user spelled it
    std::vector<Passed> passed;
    std::vector<std::string> remarks;
    std::string refusal;
    LaunchOptions launch;
    bool mapped = true;
    bool locked = false;
    bool is_load_mode_set = false;
};
