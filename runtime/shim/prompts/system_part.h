// The part of a prompt that comes from the system's messages and the descriptions of tools: what applications send with
// each request, and what users do not write.

#pragma once

#include <string>

struct common_chat_templates;
struct common_chat_templates_inputs;

// The beginning of PROMPT that does not depend on the other messages. PROMPT is what TEMPLATES make of INPUTS. Empty if
// there is no such part, or it is short.
std::string system_part(const common_chat_templates *templates, const common_chat_templates_inputs &inputs,
                        const std::string &prompt);
