// The engine's way to its model files: `ggml_fopen` finds a name on disk or in the container, and what
// member_file.h puts under llama-mmap.cpp and gguf.cpp makes a member look like a file that ends where it ends:
// for reading here, for mapping in member_mapping.cpp.

#include "hooks/member_file.h"
#include "base/message.h"
#include "hooks/hooks.h"
#include "hooks/open_members.h"
#include "resolve/reference.h"

#include <cerrno>
#include <map>
#include <mutex>

// The names below are the real functions here.
#undef fseeko
#undef posix_fadvise
#undef _fseeki64
#undef SetFilePointerEx

#ifdef _WIN32
#include <io.h>
#endif

extern "C" {
std::FILE *ggml_fopen_os(const char *path, const char *mode);
std::FILE *ggml_fopen(const char *path, const char *mode);
}

namespace {

std::mutex table_mutex;

// Descriptors that are open on a member. A descriptor leaves the table when its number is opened for something else;
// until then it can only be a closed one that nobody asks about.
std::map<int, MemberExtent> &open_members() {
    static std::map<int, MemberExtent> table;
    return table;
}

int descriptor_of(std::FILE *file) {
#ifdef _WIN32
    return _fileno(file);
#else
    return fileno(file);
#endif
}

std::FILE *open_member(const MemberReference &reference) {
    MemberExtent extent{};
    std::string problem;
    if (!reference.container->mappable_extent_of(*reference.member, extent, problem)) {
        complain(problem);
        errno = EINVAL;
        return nullptr;
    }
    std::FILE *file = reference.container->open();
    if (file != nullptr && !zip::seek(file, extent.offset)) {
        std::fclose(file);
        return nullptr;
    }
    if (file != nullptr) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        open_members()[descriptor_of(file)] = extent;
    }
    return file;
}

} // namespace

bool member_of(int descriptor, MemberExtent &extent) {
    const std::lock_guard<std::mutex> lock(table_mutex);
    const auto found = open_members().find(descriptor);
    if (found == open_members().end()) {
        return false;
    }
    extent = found->second;
    return true;
}

// Disk first, then archives: a file the user can see wins over one that he cannot.
std::FILE *ggml_fopen(const char *path, const char *mode) {
    if (std::FILE *file = open_on_disk(path, mode)) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        open_members().erase(descriptor_of(file));
        return file;
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

#ifdef _WIN32

int member_fseek(std::FILE *file, long long offset, int whence) {
    MemberExtent extent;
    if (whence == SEEK_END && member_of(descriptor_of(file), extent)) {
        return _fseeki64(file, static_cast<long long>(extent.end) + offset, SEEK_SET);
    }
    return _fseeki64(file, offset, whence);
}

BOOL member_set_file_pointer(HANDLE file, LARGE_INTEGER distance, LARGE_INTEGER *position, DWORD method) {
    if (method == FILE_END) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        for (const auto &[descriptor, extent] : open_members()) {
            if (reinterpret_cast<HANDLE>(_get_osfhandle(descriptor)) == file) {
                distance.QuadPart += static_cast<LONGLONG>(extent.end);
                method = FILE_BEGIN;
                break;
            }
        }
    }
    return SetFilePointerEx(file, distance, position, method);
}

#else

int member_fseek(std::FILE *file, off_t offset, int whence) {
    MemberExtent extent;
    if (whence == SEEK_END && member_of(descriptor_of(file), extent)) {
        return fseeko(file, static_cast<off_t>(extent.end) + offset, SEEK_SET);
    }
    return fseeko(file, offset, whence);
}

int member_fadvise(int descriptor, off_t offset, off_t size, int advice) {
#ifdef POSIX_FADV_SEQUENTIAL
    MemberExtent extent;
    if (offset == 0 && size == 0 && member_of(descriptor, extent)) {
        offset = static_cast<off_t>(extent.offset);
        size = static_cast<off_t>(extent.end - extent.offset);
    }
    return posix_fadvise(descriptor, offset, size, advice);
#else
    (void)descriptor, (void)offset, (void)size, (void)advice;
    return 0;
#endif
}

#endif
