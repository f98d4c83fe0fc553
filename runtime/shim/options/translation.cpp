#include "options/translation.h"

#include "archive/reference.h"
#include "options/no_network.h"
#include "options/value_domain.h"

#include <algorithm>
#include <set>

namespace {

// Options for models that are neither in the file nor local files, and abbreviations for several such options.
const std::set<std::string> REMOTE_MODEL_OPTIONS = {
    "--models-dir",
    "-mu",
    "--model-url",
    "-mmu",
    "--mmproj-url",
    "-dr",
    "--docker-repo",
    "-hf",
    "-hfr",
    "--hf-repo",
    "-hfd",
    "-hfrd",
    "--hf-repo-draft",
    "--spec-draft-hf",
    "--embd-gemma-default",
    "--fim-qwen-1.5b-default",
    "--fim-qwen-3b-default",
    "--fim-qwen-7b-default",
    "--fim-qwen-7b-spec",
    "--fim-qwen-14b-spec",
    "--fim-qwen-30b-default",
    "--gpt-oss-20b-default",
    "--gpt-oss-120b-default",
    "--vision-gemma-4b-default",
    "--vision-gemma-12b-default",
};

constexpr const char LIST_OF_MODELS[] = "--models-preset"; // which may be a member

bool is_elsewhere(const std::string &name, const Arguments &values) {
    const bool is_other_list = name == LIST_OF_MODELS && (is_on_disk(values.front()) || !member_named(values.front()));
    return is_other_list || REMOTE_MODEL_OPTIONS.count(name) != 0;
}

const char *name_of(Mode mode) {
    switch (mode) {
    case Mode::COMPLETION:
        return "command line mode";
    case Mode::CHAT:
        return "the chat";
    default:
        return "server mode";
    }
}

} // namespace

void Translator::pass(const std::string &name, const Arguments &values) {
    const auto known = translation_context.engine.find(name);
    if (known == translation_context.engine.end()) {
        refuse("the engine has no option '" + name + "'");
    } else if (translation_context.is_sealed && is_elsewhere(name, values)) {
        refuse("'" + current + "' names a model elsewhere, but this file uses what it holds; --unsealed allows it");
    } else if (const std::string obstacle = network_refusal(name, values); !obstacle.empty()) {
        refuse("'" + current + "' " + obstacle);
    } else if (known->second.modes.count(translation_context.mode) == 0) {
        remark(current, std::string("it means nothing in ") + name_of(translation_context.mode));
    } else if (const std::string reason = engine_reason(name, values); !reason.empty()) {
        refuse("'" + current + "' cannot be '" + values.front() + "': " + reason);
    } else {
        passed.push_back({name, values});
        if (needs_offline(name)) {
            passed.push_back({"--offline", {}});
        }
    }
}

std::string Translator::engine_reason(const std::string &name, const Arguments &values) const {
    return values.empty() || !needs_engine_check(name) ? ""
                                                       : engine_refusal(name, values.front(), translation_context.mode);
}

void Translator::remark(const std::string &name, const std::string &reason) {
    const std::string text = "'" + name + "' has no effect: " + reason;
    if (std::find(remarks.begin(), remarks.end(), text) == remarks.end()) {
        remarks.push_back(text);
    }
}

void Translator::refuse(const std::string &reason) {
    if (refusal.empty()) {
        refusal = reason;
    }
}

// Refuses WORD, which is no option, behind the option PREVIOUS.
void Translator::add_stray(const std::string &word, const std::string &previous) {
    const Flag *flag = find_flag(previous);
    const std::string values = flag == nullptr || flag->value_count({}) != 0 ? "" : values_in_words(previous);
    if (values.empty()) {
        refuse("'" + word + "' belongs to no option; a prompt is given with -p, a model with -m");
    } else {
        refuse("'" + previous + "' is " + values + ", or has no value; it is not '" + word + "'");
    }
}

void Translator::add(const Option &option) {
    const std::string previous = current;
    current = option.name;
    if (option.name.empty()) {
        add_stray(option.values.front(), previous);
    } else if (!option.is_known) {
        refuse("there is no option '" + option.name + "'; --help lists llamafile's, --help-engine the engine's");
    } else if (!option.is_complete) {
        const std::string values = values_in_words(option.name);
        refuse("'" + option.name + "' needs a value" + (values.empty() ? "" : ": " + values));
    } else if (const std::string reason = value_refusal(option.name, option.values); !reason.empty()) {
        refuse(reason);
    } else if (const Flag *flag = find_flag(option.name)) {
        flag->translate(*this, *flag, option);
    } else {
        pass(option.name, option.values);
    }
}

void Translator::add_load_mode() {
    if (is_load_mode_set) {
        pass("--load-mode", {mapped ? (locked ? "mmap+mlock" : "mmap") : (locked ? "mlock" : "none")});
    }
}

Translation Translator::finish() {
    add_load_mode();
    Translation result;
    for (const Passed &option : passed) {
        result.arguments.push_back(option.name);
        result.arguments.insert(result.arguments.end(), option.values.begin(), option.values.end());
    }
    result.launch_options = launch;
    result.remarks = remarks;
    result.refusal = refusal;
    return result;
}

Translation translate(const Options &options, const TranslationContext &context) {
    Translator translator(context);
    translator.pass("--no-escape"); // the engine's default is --escape
    if (context.is_sealed) {
        translator.pass("--offline");
    }
    for (const Option &option : options) {
        translator.add(option);
    }
    return translator.finish();
}
