#include "archive/container.h"

#include "archive/companion.h"
#include "base/own_file.h"
#include "resolve/weights.h"

#include <cstring>

extern "C" std::FILE *ggml_fopen_os(const char *path, const char *mode); // ggml.c's own, which knows Windows' names

namespace {

constexpr uint64_t LARGEST_TEXT = 16 << 20;

// What the engine demands of a tensor in memory (TENSOR_ALIGNMENT in ggml-backend.cpp); GGUF keeps it inside the file.
constexpr uint64_t TENSOR_ALIGNMENT = 32;
constexpr const char ARCHIVE_PREFIX[] = "/zip/";
constexpr const char HERE[] = "./";

} // namespace

Container &Container::instance() {
    static Container container;
    return container;
}

std::shared_ptr<const Container> Container::at(const std::string &path) {
    auto container = std::make_shared<Container>();
    container->read(path, path);
    return container;
}

bool Container::read(const std::string &path, const std::string &shown) {
    std::FILE *file = path.empty() ? nullptr : ggml_fopen_os(path.c_str(), "rb");
    if (file == nullptr) {
        return false;
    }
    own_path = path;
    name = shown;
    archive = {};
    damage.clear();
    reading = zip::read_archive(file, archive, damage);
    std::fclose(file);
    return true;
}

void Container::find(const char *argument0) {
    for (const std::string &candidate : own_file_candidates(argument0)) {
        if (read(candidate, file_name(candidate)) && reading != zip::Reading::ABSENT) {
            break;
        }
    }
    if (is_damaged() || is_packed()) {
        return;
    }
    for (const std::string &companion : companions_of(name)) {
        if (read(companion, companion)) {
            return;
        }
    }
}

bool Container::is_packed() const {
    return find_member(DEFAULT_ARGUMENTS) != nullptr || !weights_of(*this).empty();
}

bool Container::is_member_path(const std::string &path) {
    return path.rfind(ARCHIVE_PREFIX, 0) == 0;
}

const zip::Member *Container::find_member(const std::string &path) const {
    std::string wanted = is_member_path(path) ? path.substr(std::strlen(ARCHIVE_PREFIX)) : path;
    while (wanted.rfind(HERE, 0) == 0) {
        wanted.erase(0, std::strlen(HERE));
    }
    for (const zip::Member &member : archive.members) {
        if (member.name == wanted) {
            return &member;
        }
    }
    return nullptr;
}

bool Container::extent_of(const zip::Member &member, MemberExtent &extent, std::string &problem) const {
    if (member.is_encrypted) {
        problem = "'" + member.name + "' is encrypted in " + name + "; add it again without a password";
        return false;
    }
    if (member.method != zip::STORED || member.compressed_size != member.size) {
        problem =
            "'" + member.name + "' is compressed in " + name + " and cannot be mapped; add it again with: zipalign -j0";
        return false;
    }
    std::FILE *file = open();
    uint64_t offset = 0;
    const bool located = file != nullptr && zip::locate_data(file, archive, member, offset, problem);
    if (file != nullptr) {
        std::fclose(file);
    }
    if (!located) {
        problem = "'" + member.name + "' in " + name + " is damaged: " + problem;
        return false;
    }
    extent = {offset, offset + member.size};
    return true;
}

bool Container::read_text(const zip::Member &member, std::string &text, std::string &problem) const {
    MemberExtent extent{};
    if (!extent_of(member, extent, problem)) {
        return false;
    }
    if (member.size > LARGEST_TEXT) {
        problem = "'" + member.name + "' in " + name + " is larger than 16 MiB";
        return false;
    }
    text.resize(member.size);
    std::FILE *file = open();
    const bool read = file != nullptr && zip::seek(file, extent.offset) &&
                      std::fread(text.data(), 1, text.size(), file) == text.size();
    if (file != nullptr) {
        std::fclose(file);
    }
    if (!read) {
        problem = "'" + member.name + "' in " + name + " cannot be read";
    }
    return read;
}

bool Container::read_bytes(std::FILE *file, const zip::Member &member, std::string &bytes, std::string &problem) const {
    uint64_t offset = 0;
    if (!zip::locate_data(file, archive, member, offset, problem)) {
        problem = "'" + member.name + "' in " + name + " is damaged: " + problem;
        return false;
    }
    bytes.resize(member.compressed_size);
    if (!zip::seek(file, offset) || std::fread(&bytes[0], 1, bytes.size(), file) != bytes.size()) {
        problem = "'" + member.name + "' in " + name + " cannot be read";
        return false;
    }
    return true;
}

std::string Container::absence() const {
    if (own_path.empty()) {
        return "this program cannot find its own file, so it cannot look for weights in it";
    }
    if (is_damaged()) {
        return "the archive in " + name + " is damaged: " + damage;
    }
    return name + " does not end with an archive: it is incomplete, or holds no weights; fetch it again, or name a"
                  " model with -m FILE.gguf";
}

bool Container::mappable_extent_of(const zip::Member &member, MemberExtent &extent, std::string &problem) const {
    if (!extent_of(member, extent, problem)) {
        return false;
    }
    if (extent.offset % TENSOR_ALIGNMENT != 0) {
        problem = "'" + member.name + "' in " + name + " begins at offset " + std::to_string(extent.offset) +
                  ", which is no multiple of 32, and cannot be mapped; add it again with: zipalign -j0";
        return false;
    }
    return true;
}

std::FILE *Container::open() const {
    return ggml_fopen_os(own_path.c_str(), "rb");
}
