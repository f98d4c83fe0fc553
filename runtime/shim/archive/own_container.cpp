#include "archive/own_container.h"

#include "archive/companion.h"
#include "archive/weights.h"
#include "base/own_file.h"

namespace {

struct Found {
    std::shared_ptr<const Container> own = std::make_shared<const Container>();
    std::shared_ptr<const Container> of_program = own;
};

// The engine opens its files through functions that have no argument for it (hooks/member_file.cpp).
Found &found() {
    static Found containers;
    return containers;
}

// The first candidate with an archive, else the last one that can be opened.
Container find_program(const std::string &argument0) {
    Container program;
    for (const std::string &candidate : own_file_candidates(argument0)) {
        if (std::optional<Container> container = Container::open_at(candidate, display_name(candidate))) {
            program = *std::move(container);
            if (program.has_archive() || program.is_damaged()) {
                break;
            }
        }
    }
    return program;
}

} // namespace

void find_own_container(const std::string &argument0) {
    Found &containers = found();
    const auto program = std::make_shared<const Container>(find_program(argument0));
    containers.own = program;
    if (!program->is_damaged() && !is_packed(*program)) {
        for (const std::string &path : companions_of(program->name())) {
            if (std::optional<Container> companion = Container::open_at(path, path)) {
                containers.own = std::make_shared<const Container>(*std::move(companion));
                break;
            }
        }
    }
    containers.of_program = program->has_archive() ? program : containers.own;
}

std::shared_ptr<const Container> own_container() {
    return found().own;
}

std::shared_ptr<const Container> program_container() {
    return found().of_program;
}
