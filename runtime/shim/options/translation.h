// From a command line as llamafiles understand it to one that the engine understands.

#pragma once

#include "options/engine.h"
#include "options/flags.h"

#include <string>
#include <vector>

// What decides how a command line is understood.
struct Circumstances {
    Mode mode = Mode::SERVER;
    bool is_sealed = false; // nothing is fetched from anywhere
    EngineOptions engine;
    std::vector<Gpu> gpus;
};

// What a command line says that is not the engine's business.
struct Choices {
    bool opens_browser = true;
    bool has_sandbox = true;
};

struct Translation {
    Arguments arguments; // for the engine, without the program's name
    Choices choices;
    std::vector<std::string> remarks; // what has no effect, once each
    std::string problem;              // why the program cannot start; empty if it can
};

Translation translate(const Options &options, const Circumstances &circumstances);

// What the flags in their table act on.
class Translator {
  public:
    explicit Translator(const Circumstances &circumstances) : is_in(circumstances) {}

    const Circumstances &circumstances() const { return is_in; }
    Choices &choices() { return chosen; }

    // Gives the engine an option. One that it has in other modes only is left out, with a remark.
    void pass(const std::string &name, const Arguments &values = {});

    void remark(const std::string &name, const std::string &why);

    // The first reason counts.
    void refuse(const std::string &why);

    // How the weights get into memory: two flags that the engine has as one option.
    void set_mapped(bool value) { mapped = value, is_load_mode_set = true; }
    void set_locked() { locked = is_load_mode_set = true; }

    void add(const Option &option);
    Translation finish();

  private:
    void add_load_mode();

    struct Passed {
        std::string name;
        Arguments values;
    };

    const Circumstances &is_in;
    std::string current; // what the user wrote
    std::vector<Passed> passed;
    std::vector<std::string> remarks;
    std::string problem;
    Choices chosen;
    bool mapped = true;
    bool locked = false;
    bool is_load_mode_set = false;
};
