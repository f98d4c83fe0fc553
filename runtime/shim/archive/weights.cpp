#include "archive/weights.h"

#include "archive/shard_name.h"
#include "base/arguments.h"
#include "base/text.h"
#include "base/user_error.h"

namespace {

constexpr const char EXTENSION[] = ".gguf";

bool is_continuation(const std::string &name) {
    const std::optional<ShardName> shard = parse_shard_name(name);
    return shard && shard->number != 1;
}

} // namespace

std::vector<const zip::Member *> weights_of(const Container &container) {
    std::vector<const zip::Member *> weights;
    for (const zip::Member &member : container.members()) {
        if (has_extension(member.name, EXTENSION) && !is_continuation(member.name)) {
            weights.push_back(&member);
        }
    }
    return weights;
}

std::string list_of_weights(const Container &container, const std::string &prefix) {
    std::vector<std::string> names;
    for (const zip::Member *member : weights_of(container)) {
        names.push_back("'" + prefix + member->name + "'");
    }
    return join(names, ", ");
}

bool is_packed(const Container &container) {
    return container.find_member(Container::DEFAULT_ARGUMENTS) != nullptr || !weights_of(container).empty();
}

const zip::Member *default_value(const Container &container, const std::vector<std::string> &options) {
    const zip::Member *text_member = container.find_member(Container::DEFAULT_ARGUMENTS);
    if (text_member == nullptr) {
        return nullptr;
    }
    const Arguments arguments = parse_lines(container.read_text(*text_member));
    const zip::Member *found = nullptr;
    for (size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (has_option({arguments[i]}, options)) {
            found = container.find_member(arguments[++i]);
        }
    }
    return found;
}

const zip::Member &select_weights(const Container &container, const std::vector<std::string> &options) {
    const std::vector<const zip::Member *> weights = weights_of(container);
    if (weights.empty()) {
        throw UserError("'" + container.name() + "' holds no weights, and is none: it begins like no GGUF file");
    }
    if (weights.size() == 1) {
        return *weights.front();
    }
    const zip::Member *member = default_value(container, options);
    if (member == nullptr) {
        throw UserError("'" + container.name() +
                        "' holds more than one GGUF file, and its .args do not say which is meant; choose with " +
                        options.front() + ": " + list_of_weights(container, container.name() + "@"));
    }
    return *member;
}
