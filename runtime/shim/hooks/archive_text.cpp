// Small text files that the engine reads itself: grammars, templates, schemas.

#include "base/standard_input.h"
#include "hooks/hooks.h"
#include "resolve/reference.h"

#include <stdexcept>

bool llamafile_read_text(const std::string &name, std::string &text) {
    if (is_standard_input(name)) {
        text = read_standard_input();
        return true;
    }
    const MemberReference reference = is_on_disk(name) ? MemberReference{} : member_named(name);
    std::string problem;
    if (!reference) {
        return false;
    }
    if (!reference.container->read_text(*reference.member, text, problem)) {
        throw std::runtime_error(problem);
    }
    return true;
}
