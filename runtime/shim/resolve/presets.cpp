#include "resolve/presets.h"

#include "archive/own_container.h"
#include "archive/reference.h"
#include "base/ini.h"
#include "base/user_error.h"
#include "engine/preset_options.h"
#include "hooks/hooks.h"
#include "options/no_network.h"
#include "options/value_domain.h"
#include "resolve/model.h"

#include <algorithm>
#include <set>

namespace {

const std::set<std::string> LIST = {"--models-preset"};
const std::set<std::string> MODEL = {"-m", "--model"};
constexpr const char FOR_ALL[] = "*";
constexpr const char VERSION[] = "version"; // of the form of the list, in front of the sections
constexpr const char ARCHIVE_FOLDER[] = "/zip/";

std::string text_of(const std::string &name) {
    std::string text;
    if (!is_on_disk(name) && !member_named(name)) {
        throw UserError(missing_file_message(name));
    }
    if (!llamafile_read_text(name, text)) {
        const File file = open_on_disk(name);
        if (file == nullptr) {
            throw UserError("cannot read '" + name + "'");
        }
        text = read_to_end(file.get());
    }
    return text;
}

UserError at(const IniEntry &entry, const std::string &problem) {
    return UserError("line " + std::to_string(entry.line) + ": " + problem);
}

Arguments arguments_of(const IniSection &section) {
    Arguments arguments;
    for (const IniEntry &entry : section.entries) {
        if (section.name.empty() && entry.name == VERSION) {
            continue;
        }
        const PresetOption option = preset_option(entry.name, entry.value);
        if (!option.is_known) {
            throw at(entry, "the server has no option '" + entry.name + "'");
        }
        if (section.name.empty()) {
            throw at(entry, "'" + entry.name + "' belongs to no model; [NAME] begins one, [*] the options of all");
        }
        if (option.arguments.size() > 1) {
            const Arguments value = {option.arguments[1]};
            const std::string obstacle = network_refusal(option.arguments[0], value);
            const std::string reason =
                obstacle.empty() ? value_refusal(option.arguments[0], value) : "'" + entry.name + "' " + obstacle;
            if (!reason.empty()) {
                throw at(entry, reason);
            }
        }
        arguments.insert(arguments.end(), option.arguments.begin(), option.arguments.end());
    }
    return arguments;
}

std::string model_of(const Arguments &arguments) {
    std::string model;
    for (size_t i = 0; i + 1 < arguments.size(); ++i) {
        model = MODEL.count(arguments[i]) != 0 ? arguments[i + 1] : model;
    }
    return model;
}

void check(const Preset &preset) {
    const std::string model = model_of(preset.arguments);
    try {
        if (!model.empty()) {
            check_model(model);
        } else if (!names_model(preset.arguments)) {
            throw UserError("no option names its weights; add a line: model = FILE.gguf");
        }
    } catch (const UserError &error) {
        throw UserError("[" + preset.name + "]: " + error.what());
    }
}

std::vector<Preset> presets_in(const std::string &text) {
    Arguments common;
    std::vector<Preset> presets;
    const std::vector<IniSection> sections = parse_ini(text);
    for (const IniSection &section : sections) {
        const Arguments arguments = arguments_of(section);
        if (section.name == FOR_ALL) {
            common.insert(common.end(), arguments.begin(), arguments.end());
        } else if (section.line != 0) {
            const bool is_known = std::any_of(presets.begin(), presets.end(),
                                              [&](const Preset &preset) { return preset.name == section.name; });
            if (is_known || section.name.empty()) {
                throw UserError("line " + std::to_string(section.line) +
                                (is_known ? ": there are two models '" + section.name + "'" : ": [] has no name"));
            }
            presets.push_back({section.name, arguments});
        }
    }
    for (Preset &preset : presets) {
        preset.arguments.insert(preset.arguments.begin(), common.begin(), common.end());
        check(preset);
    }
    if (presets.empty()) {
        throw UserError("it has no section: [NAME] begins the options of a model");
    }
    return presets;
}

// NAME without the folder of members and that of disks.
std::string base_name(const std::string &name) {
    return name.substr(name.find_last_of("/\\") + 1); // npos + 1 is 0
}

bool is_called(const Preset &preset, const std::string &name) {
    const std::string model = model_of(preset.arguments);
    return preset.name == name || model == name || model == ARCHIVE_FOLDER + name || base_name(model) == name;
}

// The first of PRESETS if NAME is empty, else that called NAME; null if there is none.
const Preset *find(const std::vector<Preset> &presets, const std::string &name) {
    const auto found = std::find_if(presets.begin(), presets.end(),
                                    [&](const Preset &preset) { return name.empty() || is_called(preset, name); });
    return found == presets.end() ? nullptr : &*found;
}

Options usable_in(const Options &options, const EngineOptions &engine, Mode mode) {
    Options usable;
    for (const Option &option : options) {
        const auto known = engine.find(option.name);
        if (known != engine.end() && known->second.modes.count(mode) != 0) {
            usable.push_back(option);
        }
    }
    return usable;
}

} // namespace

std::vector<Preset> read_presets(const std::string &name) {
    const std::string text = text_of(name);
    try {
        return presets_in(text);
    } catch (const UserError &error) {
        throw UserError("'" + name + "', " + error.what());
    }
}

Options with_one_model(const Options &options, const EngineOptions &engine, Mode mode) {
    const Option *list = last_of(options, LIST);
    const Option *model = last_of(options, MODEL);
    if (list == nullptr || !list->is_complete || (mode == Mode::SERVER && model == nullptr)) {
        return options;
    }
    const std::string name = model == nullptr || model->values.empty() ? "" : model->values.front();
    const std::vector<Preset> presets = read_presets(list->values.front());
    const Preset *preset = find(presets, name);
    Options result;
    if (preset != nullptr) {
        result = usable_in(split(preset->arguments, engine), engine, mode);
    }
    for (const Option &option : options) {
        const bool is_name = preset != nullptr && MODEL.count(option.name) != 0;
        if (LIST.count(option.name) == 0 && !is_name) {
            result.push_back(option);
        }
    }
    return result;
}

std::string first_model(const Options &options) {
    const Option *list = last_of(options, LIST);
    return list == nullptr || !list->is_complete ? "" : read_presets(list->values.front()).front().name;
}
