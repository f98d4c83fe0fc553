#include "archive/container.h"

#include "base/user_error.h"

#include <cstring>

namespace {

constexpr uint64_t LARGEST_TEXT = 16 << 20;

// The engine's requirement for tensors in memory (TENSOR_ALIGNMENT in ggml-backend.cpp); GGUF keeps it within a file.
constexpr uint64_t TENSOR_ALIGNMENT = 32;
constexpr const char ARCHIVE_PREFIX[] = "/zip/";
constexpr const char HERE[] = "./";

} // namespace

std::optional<Container> Container::open_at(const std::string &location, const std::string &name) {
    const File file = location.empty() ? nullptr : open_file(location, "rb");
    if (file == nullptr) {
        return std::nullopt;
    }
    Container container;
    container.own_path = location;
    container.shown = name;
    container.archive = zip::read_archive(file.get());
    return container;
}

std::shared_ptr<const Container> Container::at(const std::string &path) {
    return std::make_shared<const Container>(open_at(path, path).value_or(Container()));
}

const std::vector<zip::Member> &Container::members() const {
    static const std::vector<zip::Member> none;
    return archive ? archive->members : none;
}

bool Container::is_member_path(const std::string &path) {
    return path.starts_with(ARCHIVE_PREFIX);
}

const zip::Member *Container::find_member(const std::string &path) const {
    std::string wanted = is_member_path(path) ? path.substr(std::strlen(ARCHIVE_PREFIX)) : path;
    while (wanted.starts_with(HERE)) {
        wanted.erase(0, std::strlen(HERE));
    }
    for (const zip::Member &member : members()) {
        if (member.name == wanted) {
            return &member;
        }
    }
    return nullptr;
}

MemberExtent Container::extent_of(const zip::Member &member) const {
    if (member.is_encrypted) {
        throw UserError("'" + member.name + "' is encrypted in " + shown + "; add it again without a password");
    }
    if (member.method != zip::STORED || member.compressed_size != member.size) {
        throw UserError("'" + member.name + "' is compressed in " + shown +
                        " and cannot be mapped; add it again with: zipalign -j0");
    }
    const uint64_t offset = locate(open().get(), member);
    return {offset, offset + member.size};
}

uint64_t Container::locate(std::FILE *file, const zip::Member &member) const {
    const std::string damage = "'" + member.name + "' in " + shown + " is damaged: ";
    if (file == nullptr || !archive) {
        throw UserError(damage + "its file cannot be opened");
    }
    try {
        return zip::locate_data(file, *archive, member);
    } catch (const zip::Damaged &error) {
        throw UserError(damage + error.what());
    }
}

std::string Container::read_text(const zip::Member &member) const {
    const MemberExtent extent = extent_of(member);
    if (member.size > LARGEST_TEXT) {
        throw UserError("'" + member.name + "' in " + shown + " is larger than 16 MiB");
    }
    std::string text(member.size, '\0');
    const File file = open();
    if (file == nullptr || !seek(file.get(), extent.offset) ||
        std::fread(text.data(), 1, text.size(), file.get()) != text.size()) {
        throw UserError("'" + member.name + "' in " + shown + " cannot be read");
    }
    return text;
}

std::string Container::read_bytes(std::FILE *file, const zip::Member &member) const {
    const uint64_t offset = locate(file, member);
    std::string bytes(member.compressed_size, '\0');
    if (!seek(file, offset) || std::fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) {
        throw UserError("'" + member.name + "' in " + shown + " cannot be read");
    }
    return bytes;
}

std::string Container::missing_archive_message() const {
    if (own_path.empty()) {
        return "this program cannot find its own file, so it cannot look for weights in it";
    }
    if (archive && !archive->damage.empty()) {
        return "the archive in " + shown + " is damaged: " + archive->damage;
    }
    return shown + " does not end with an archive: it is incomplete, or holds no weights; fetch it again, or name a"
                   " model with -m FILE.gguf";
}

MemberExtent Container::mappable_extent_of(const zip::Member &member) const {
    const MemberExtent extent = extent_of(member);
    if (extent.offset % TENSOR_ALIGNMENT != 0) {
        throw UserError("'" + member.name + "' in " + shown + " begins at offset " + std::to_string(extent.offset) +
                        ", which is no multiple of 32, and cannot be mapped; add it again with: zipalign -j0");
    }
    return extent;
}

File Container::open() const {
    return open_file(own_path, "rb");
}
