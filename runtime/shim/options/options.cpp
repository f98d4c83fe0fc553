#include "options/options.h"

#include "options/flags.h"

#include <algorithm>

namespace {

Option without_values(const std::string &argument) {
    Option option;
    if (argument.size() > 1 && argument.front() == '-') {
        option.name = normalised(argument);
    } else {
        option.values = {argument};
    }
    option.is_known = false;
    return option;
}

} // namespace

Options split(const Arguments &arguments, const EngineOptions &engine) {
    Options options;
    for (size_t at = 0; at < arguments.size();) {
        Option option = without_values(arguments[at]);
        ++at;
        size_t count = 0;
        const auto known = engine.find(option.name);
        if (const Flag *flag = find_flag(option.name)) {
            option.is_known = true;
            count = flag->value_count({arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.end()});
        } else if (known != engine.end()) {
            option.is_known = true;
            count = known->second.value_count;
        }
        const size_t end = std::min(at + count, arguments.size());
        option.is_complete = end == at + count;
        option.values.insert(option.values.end(), arguments.begin() + static_cast<std::ptrdiff_t>(at),
                             arguments.begin() + static_cast<std::ptrdiff_t>(end));
        at = end;
        options.push_back(std::move(option));
    }
    return options;
}

const Option *last_of(const Options &options, const std::set<std::string> &names) {
    const auto found = std::find_if(options.rbegin(), options.rend(),
                                    [&](const Option &option) { return names.count(option.name) != 0; });
    return found == options.rend() ? nullptr : &*found;
}
