#include "resolve/model.h"

#include "archive/own_container.h"
#include "archive/reference.h"
#include "archive/weights.h"
#include "base/text.h"
#include "base/user_error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

constexpr char MAGIC[] = {'G', 'G', 'U', 'F'};

void check_magic(std::FILE *file, const std::string &name) {
    char bytes[sizeof MAGIC];
    const size_t size = file == nullptr ? 0 : std::fread(bytes, 1, sizeof bytes, file);
    if (size == 0) {
        throw UserError(name + " is empty or cannot be read (expected 'GGUF')");
    }
    if (size != sizeof bytes || std::memcmp(bytes, MAGIC, sizeof bytes) != 0) {
        throw UserError(name + " is not a GGUF file: it begins with '" + escape_binary({bytes, size}) +
                        "' (expected 'GGUF')");
    }
}

void check_member(const Container &container, const zip::Member &member) {
    const MemberExtent extent = container.mappable_extent_of(member);
    const std::string name = "'" + member.name + "' in " + container.name();
    if (member.size < sizeof MAGIC) {
        throw UserError(name + " has " + std::to_string(member.size) + " bytes: it is not a GGUF file");
    }
    const File file = container.open();
    check_magic(file != nullptr && seek(file.get(), extent.offset) ? file.get() : nullptr, name);
}

} // namespace

bool names_model(const Arguments &arguments) {
    return has_option(arguments, {"-m", "--model", "-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "-dr",
                                  "--docker-repo", "--models-dir", "--models-preset"});
}

std::string only_model() {
    const std::shared_ptr<const Container> container = own_container();
    const std::vector<const zip::Member *> weights = weights_of(*container);
    if (weights.size() == 1) {
        return weights.front()->name;
    }
    if (!container->has_archive()) {
        throw UserError(container->missing_archive_message());
    }
    const std::string &name = container->name();
    if (weights.empty()) {
        throw UserError(name + " holds no weights; name a model with -m FILE.gguf, or add one with: zipalign -j0 " +
                        name + " FILE.gguf");
    }
    throw UserError(name + " holds more than one model; choose with -m: " + list_of_weights(*container));
}

void check_model(const std::string &name) {
    if (const File file = open_on_disk(name)) {
        check_magic(file.get(), "'" + name + "'");
        return;
    }
    if (errno != ENOENT) {
        throw UserError("cannot open '" + name + "': " + std::strerror(errno));
    }
    const MemberReference reference = member_named(name);
    if (!reference) {
        throw UserError(missing_file_message(name));
    }
    check_member(*reference.container, *reference.member);
}
