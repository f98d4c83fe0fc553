#include "model.h"

#include "container.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>

extern "C" std::FILE *ggml_fopen_os(const char *path, const char *mode);

namespace {

constexpr char MAGIC[] = {'G', 'G', 'U', 'F'};

bool is_gguf_name(const std::string &name) {
    constexpr const char suffix[] = ".gguf";
    const size_t size = sizeof suffix - 1;
    return name.size() > size && std::equal(suffix, suffix + size, name.end() - size, [](char expected, char got) {
               return expected == std::tolower(static_cast<unsigned char>(got));
           });
}

std::string member_names() {
    std::string names;
    for (const zip::Member &member : Container::instance().members()) {
        if (is_gguf_name(member.name)) {
            names += (names.empty() ? "'" : ", '") + member.name + "'";
        }
    }
    return names;
}

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

bool check_member(const zip::Member &member, std::string &problem) {
    MemberExtent extent{};
    const Container &container = Container::instance();
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
    std::string only;
    size_t count = 0;
    for (const zip::Member &member : container.members()) {
        if (is_gguf_name(member.name)) {
            only = member.name;
            ++count;
        }
    }
    if (count == 1) {
        return only;
    }
    if (!container.has_archive()) {
        problem = container.absence();
    } else if (count == 0) {
        problem = container.path() +
                  " holds no weights; name a model with -m FILE.gguf, or add one with: zipalign -j0 " +
                  container.path() + " FILE.gguf";
    } else {
        problem = container.path() + " holds more than one model; choose with -m: " + member_names();
    }
    return {};
}

bool check_model(const std::string &name, std::string &problem) {
    errno = ENOENT;
    std::FILE *file = Container::is_member_path(name) ? nullptr : ggml_fopen_os(name.c_str(), "rb");
    if (file != nullptr) {
        const bool good = check_magic(file, "'" + name + "'", problem);
        std::fclose(file);
        return good;
    }
    if (errno != ENOENT) {
        problem = "cannot open '" + name + "': " + std::strerror(errno);
        return false;
    }
    const Container &container = Container::instance();
    if (const zip::Member *member = container.find_member(name)) {
        return check_member(*member, problem);
    }
    problem = "there is no file '" + name + "'";
    const std::string names = member_names();
    if (!names.empty()) {
        problem += ", and no such member in " + container.path() + " (it holds " + names + ")";
    } else if (!container.has_archive()) {
        problem += "; " + container.absence();
    } else {
        problem += ", and " + container.path() + " holds no weights";
    }
    return false;
}
