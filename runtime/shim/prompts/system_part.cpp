#include "prompts/system_part.h"

#include "base/digest.h"
#include "chat.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace {

constexpr size_t SHORT = 512;         // bytes; fewer are computed sooner than found
constexpr size_t REMEMBERED_MAX = 64; // system prompts
// Two messages of users that begin differently.
constexpr const char *OTHER_TEXTS[] = {"a", "1"};

using Messages = std::vector<common_chat_msg>;

// What is rendered for the same system prompt is remembered, because rendering takes milliseconds.
std::mutex mutex;
std::map<uint64_t, std::string> remembered;

Messages system_messages(const Messages &messages) {
    const auto end = std::find_if(messages.begin(), messages.end(), [](const common_chat_msg &message) {
        return message.role != "system" && message.role != "developer";
    });
    return {messages.begin(), end};
}

size_t size_of(const common_chat_templates_inputs &inputs) {
    size_t size = 0;
    for (const common_chat_msg &message : inputs.messages) {
        size += message.content.size();
        for (const common_chat_msg_content_part &part : message.content_parts) {
            size += part.text.size();
        }
    }
    for (const common_chat_tool &tool : inputs.tools) {
        size += tool.name.size() + tool.description.size() + tool.parameters.size();
    }
    return size;
}

uint64_t digest_of(const common_chat_templates_inputs &inputs) {
    Digest digest;
    for (const common_chat_msg &message : inputs.messages) {
        digest.add(message.role);
        digest.add(message.content);
        for (const common_chat_msg_content_part &part : message.content_parts) {
            digest.add(part.text);
        }
    }
    for (const common_chat_tool &tool : inputs.tools) {
        digest.add(tool.name);
        digest.add(tool.description);
        digest.add(tool.parameters);
    }
    for (const auto &[name, value] : inputs.chat_template_kwargs) {
        digest.add(name);
        digest.add(value);
    }
    digest.add(inputs.json_schema);
    digest.add_number(inputs.tool_choice);
    digest.add_number(inputs.reasoning_format);
    digest.add_number(inputs.enable_thinking);
    return digest.value();
}

std::string common_part(const std::string &a, const std::string &b) {
    return {a.begin(), std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first};
}

std::string rendered(const common_chat_templates *templates, common_chat_templates_inputs inputs,
                     const std::string &text) {
    common_chat_msg message;
    message.role = "user";
    message.content = text;
    inputs.messages.push_back(message);
    return common_chat_templates_apply(templates, inputs).prompt;
}

std::string remembered_part(uint64_t key) {
    const std::scoped_lock lock(mutex);
    const auto found = remembered.find(key);
    return found == remembered.end() ? "" : found->second;
}

void remember(uint64_t key, const std::string &part) {
    const std::scoped_lock lock(mutex);
    if (remembered.size() >= REMEMBERED_MAX) {
        remembered.clear();
    }
    remembered[key] = part;
}

} // namespace

std::string system_part(const common_chat_templates *templates, const common_chat_templates_inputs &inputs,
                        const std::string &prompt) {
    common_chat_templates_inputs other = inputs;
    other.messages = system_messages(inputs.messages);
    other.continue_final_message = COMMON_CHAT_CONTINUATION_NONE;
    if (size_of(other) < SHORT || other.messages.size() == inputs.messages.size()) {
        return "";
    }
    const uint64_t key = digest_of(other);
    std::string part = remembered_part(key);
    if (part.empty() || !prompt.starts_with(part)) { // a template may write the time into the prompt
        part = common_part(rendered(templates, other, OTHER_TEXTS[0]), rendered(templates, other, OTHER_TEXTS[1]));
        part = common_part(part, prompt);
        remember(key, part);
    }
    return part.size() < SHORT ? "" : part;
}
