// Opens the engine's model files, on disk or in an archive. member_file.h replaces functions of the system in
// llama-mmap.cpp and gguf.cpp, so that a member looks like a file that ends at the end of the member: those for reading
// are in member_file_SYSTEM.cpp, those for mapping in member_mapping_posix.cpp.

#include "archive/reference.h"
#include "base/message.h"
#include "base/user_error.h"
#include "hooks/hooks.h"
#include "hooks/open_members.h"

#include <cerrno>
#include <map>
#include <memory>
#include <mutex>

namespace {

std::mutex table_mutex;

// Descriptors that are open on a member. An entry is removed when its number is opened on something else; until then,
// its descriptor may be closed, and is not looked up.
std::map<int, MemberExtent> &table() {
    static std::map<int, MemberExtent> members;
    return members;
}

// Reads FILE by more bytes at a time than the 1 KiB of musl: headers are read number by number. A buffer is released
// when another file is opened in the place of its own.
void read_ahead(std::FILE *file) {
    constexpr std::size_t SIZE = 64 << 10;
    static std::map<std::FILE *, std::unique_ptr<char[]>> buffers;
    const std::lock_guard<std::mutex> lock(table_mutex);
    std::unique_ptr<char[]> &buffer = buffers[file];
    buffer = std::make_unique<char[]>(SIZE);
    std::setvbuf(file, buffer.get(), _IOFBF, SIZE);
}

std::FILE *open_member(const MemberReference &reference) {
    MemberExtent extent{};
    try {
        extent = reference.container->mappable_extent_of(*reference.member);
    } catch (const UserError &error) {
        log_line(error.what());
        errno = EINVAL;
        return nullptr;
    }
    File file = reference.container->open();
    if (file == nullptr) {
        return nullptr;
    }
    read_ahead(file.get());
    if (!seek(file.get(), extent.offset)) {
        return nullptr;
    }
    const std::lock_guard<std::mutex> lock(table_mutex);
    table()[descriptor_of(file.get())] = extent;
    return file.release();
}

} // namespace

std::optional<MemberExtent> member_of(int descriptor) {
    const std::lock_guard<std::mutex> lock(table_mutex);
    const auto found = table().find(descriptor);
    return found == table().end() ? std::nullopt : std::optional<MemberExtent>(found->second);
}

std::map<int, MemberExtent> open_members() {
    const std::lock_guard<std::mutex> lock(table_mutex);
    return table();
}

// Disk first, then archives: a visible file has precedence over a member.
extern "C" std::FILE *ggml_fopen(const char *path, const char *mode) {
    if (File file = open_on_disk(path, mode)) {
        if (mode[0] == 'r') {
            read_ahead(file.get());
        }
        const std::lock_guard<std::mutex> lock(table_mutex);
        table().erase(descriptor_of(file.get()));
        return file.release();
    }
    const int reason = errno;
    const MemberReference reference = reason == ENOENT && mode[0] == 'r' ? member_named(path) : MemberReference{};
    if (!reference) {
        errno = reason;
        return nullptr;
    }
    return open_member(reference);
}

std::string llamafile_disk_file(const std::string &name) {
    const MemberReference reference = is_on_disk(name) ? MemberReference{} : member_named(name);
    return reference ? reference.container->location() : name;
}
