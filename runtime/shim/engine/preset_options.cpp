#include "engine/preset_options.h"

#include "arg.h"
#include "preset.h"

PresetOption preset_option(const std::string &name, const std::string &value) {
    static const common_preset_context context(LLAMA_EXAMPLE_SERVER);
    const auto known = context.key_to_opt.find(name);
    if (known == context.key_to_opt.end()) {
        return {};
    }
    const common_arg &option = known->second;
    std::string meaning = value;
    for (const char *negative : option.args_neg) {
        if (std::string(negative).substr(std::string(negative).find_first_not_of('-')) == name) {
            meaning = common_arg_utils::is_truthy(value) ? "false" : "true";
        }
    }
    common_preset preset;
    preset.options[option] = meaning;
    return {true, preset.to_args()};
}
