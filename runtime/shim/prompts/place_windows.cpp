#include "base/file.h"
#include "prompts/place.h"

#include <algorithm>

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

namespace {

constexpr size_t PIECE = size_t{1} << 30; // sizes of transfers have 32 bits
constexpr DWORD FAR_AWAY = 1U << 30;      // the upper half of the locked byte's offset: Windows locks what is locked

HANDLE native(std::intptr_t handle) {
    return reinterpret_cast<HANDLE>(handle);
}

OVERLAPPED at_offset(uint64_t offset) {
    OVERLAPPED place{};
    place.Offset = static_cast<DWORD>(offset);
    place.OffsetHigh = static_cast<DWORD>(offset >> 32);
    return place;
}

} // namespace

// The folder is in the user's profile, which others cannot open.
std::optional<Place> Place::open(const std::string &path, bool) {
    const HANDLE file = CreateFileW(system_path(path).c_str(), GENERIC_READ | GENERIC_WRITE,
                                    FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_ALWAYS,
                                    FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
    BY_HANDLE_FILE_INFORMATION facts{};
    if (file == INVALID_HANDLE_VALUE) {
        return std::nullopt;
    }
    if (GetFileInformationByHandle(file, &facts) == 0 ||
        (facts.dwFileAttributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY)) != 0) {
        CloseHandle(file);
        return std::nullopt;
    }
    return Place(reinterpret_cast<std::intptr_t>(file));
}

std::optional<Place> Place::inherited(int) {
    return std::nullopt; // children open the places themselves: there is no sandbox
}

int Place::number() const {
    return -1;
}

std::optional<Place::Status> Place::status() const {
    BY_HANDLE_FILE_INFORMATION facts{};
    if (GetFileInformationByHandle(native(handle), &facts) == 0) {
        return std::nullopt;
    }
    const FILETIME &written = facts.ftLastWriteTime;
    return Status{(uint64_t{facts.nFileSizeHigh} << 32) | facts.nFileSizeLow,
                  static_cast<int64_t>((uint64_t{written.dwHighDateTime} << 32) | written.dwLowDateTime)};
}

bool Place::lock(bool exclusively) const {
    OVERLAPPED place{};
    place.OffsetHigh = FAR_AWAY;
    const DWORD kind = LOCKFILE_FAIL_IMMEDIATELY | (exclusively ? LOCKFILE_EXCLUSIVE_LOCK : 0);
    return LockFileEx(native(handle), kind, 0, 1, 0, &place) != 0;
}

void Place::unlock() const {
    OVERLAPPED place{};
    place.OffsetHigh = FAR_AWAY;
    UnlockFileEx(native(handle), 0, 1, 0, &place);
}

bool Place::clear() const {
    FILE_END_OF_FILE_INFO end{};
    return SetFileInformationByHandle(native(handle), FileEndOfFileInfo, &end, sizeof end) != 0;
}

bool Place::read(uint64_t offset, void *bytes, size_t size) const {
    auto *at = static_cast<char *>(bytes);
    while (size > 0) {
        OVERLAPPED place = at_offset(offset);
        DWORD done = 0;
        if (ReadFile(native(handle), at, static_cast<DWORD>(std::min(size, PIECE)), &done, &place) == 0 || done == 0) {
            return false;
        }
        at += done;
        offset += done;
        size -= done;
    }
    return true;
}

bool Place::write(uint64_t offset, const void *bytes, size_t size) const {
    const auto *at = static_cast<const char *>(bytes);
    while (size > 0) {
        OVERLAPPED place = at_offset(offset);
        DWORD done = 0;
        if (WriteFile(native(handle), at, static_cast<DWORD>(std::min(size, PIECE)), &done, &place) == 0 || done == 0) {
            return false;
        }
        at += done;
        offset += done;
        size -= done;
    }
    return true;
}
