#include "hooks/member_file.h"
#include "hooks/open_members.h"

#include <io.h>

// From here on, these names mean the functions of the system.
#undef _fseeki64
#undef SetFilePointerEx

int member_fseek(std::FILE *file, long long offset, int whence) {
    const std::optional<MemberExtent> extent = whence == SEEK_END ? member_of(_fileno(file)) : std::nullopt;
    return extent ? _fseeki64(file, static_cast<long long>(extent->end) + offset, SEEK_SET)
                  : _fseeki64(file, offset, whence);
}

BOOL member_set_file_pointer(HANDLE file, LARGE_INTEGER distance, LARGE_INTEGER *position, DWORD method) {
    if (method == FILE_END) {
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
