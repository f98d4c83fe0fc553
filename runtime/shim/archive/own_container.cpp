#include "archive/own_container.h"

#include "archive/companion.h"
#include "archive/weights.h"
#include "base/own_file.h"

namespace {

// The engine opens its files through functions that have no argument for it (hooks/member_file.cpp).
std::shared_ptr<const Container> &found() {
    static std::shared_ptr<const Container> container = std::make_shared<const Container>();
    return container;
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
    Container container = find_program(argument0);
    if (!container.is_damaged() && !is_packed(container)) {
        for (const std::string &path : companions_of(container.name())) {
            if (std::optional<Container> companion = Container::open_at(path, path)) {
                container = *std::move(companion);
                break;
            }
        }
    }
    found() = std::make_shared<const Container>(std::move(container));
}

std::shared_ptr<const Container> own_container() {
    return found();
}
