#include "resolve/model.h"

#include "resolve/reference.h"
#include "resolve/weights.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

constexpr char MAGIC[] = {'G', 'G', 'U', 'F'};

std::string printable(const char *bytes, size_t size) {
    std::string text;
    for (size_t i = 0; i < size; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, byte >= 0x20 && byte < 0x7f ? "%c" : "\\x%02x", byte);
        text += escaped;
    }
    return text;
}

bool check_magic(std::FILE *file, const std::string &what, std::string &problem) {
    char bytes[sizeof MAGIC];
    const size_t got = std::fread(bytes, 1, sizeof bytes, file);
    if (got == sizeof bytes && std::memcmp(bytes, MAGIC, sizeof bytes) == 0) {
        return true;
    }
    problem = what +
              (got == 0 ? std::string(" is empty or cannot be read")
                        : " is not a GGUF file: it begins with '" + printable(bytes, got) + "'") +
              " (expected 'GGUF')";
    return false;
}

bool check_member(const Container &container, const zip::Member &member, std::string &problem) {
    MemberExtent extent{};
    if (!container.mappable_extent_of(member, extent, problem)) {
        return false;
    }
    const std::string what = "'" + member.name + "' in " + container.path();
    if (member.size < sizeof MAGIC) {
        problem = what + " has " + std::to_string(member.size) + " bytes: it is not a GGUF file";
        return false;
    }
    std::FILE *file = container.open();
    const bool good = file != nullptr && zip::seek(file, extent.offset) && check_magic(file, what, problem);
    if (file != nullptr) {
        std::fclose(file);
    }
    return good;
}

} // namespace

bool names_model(const Arguments &arguments) {
    return has_option(arguments, {"-m", "--model", "-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "-dr",
                                  "--docker-repo", "--models-dir", "--models-preset"});
}

std::string only_model(std::string &problem) {
    const Container &container = Container::instance();
    const std::vector<const zip::Member *> weights = weights_of(container);
    if (weights.size() == 1) {
        return weights.front()->name;
    }
    if (!container.has_archive()) {
        problem = container.absence();
    } else if (weights.empty()) {
        problem = container.path() +
                  " holds no weights; name a model with -m FILE.gguf, or add one with: zipalign -j0 " +
                  container.path() + " FILE.gguf";
    } else {
        problem = container.path() + " holds more than one model; choose with -m: " + list_of_weights(container);
    }
    return {};
}

bool check_model(const std::string &name, std::string &problem) {
    if (std::FILE *file = open_on_disk(name)) {
        const bool good = check_magic(file, "'" + name + "'", problem);
        std::fclose(file);
        return good;
    }
    if (errno != ENOENT) {
        problem = "cannot open '" + name + "': " + std::strerror(errno);
        return false;
    }
    if (const MemberReference reference = member_named(name)) {
        return check_member(*reference.container, *reference.member, problem);
    }
    problem = absence_of(name);
    return false;
}
