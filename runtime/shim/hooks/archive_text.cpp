// Small text files that the engine reads: grammars, templates, schemas.

#include "archive/reference.h"
#include "base/standard_input.h"
#include "hooks/hooks.h"

bool llamafile_read_text(const std::string &name, std::string &text) {
    if (is_standard_input(name)) {
        text = read_standard_input();
        return true;
    }
    const MemberReference reference = is_on_disk(name) ? MemberReference{} : member_named(name);
    if (!reference) {
        return false;
    }
    text = reference.container->read_text(*reference.member);
    return true;
}
