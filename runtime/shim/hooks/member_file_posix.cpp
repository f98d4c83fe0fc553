#include "hooks/member_file.h"
#include "hooks/open_members.h"

// From here on, these names mean the functions of the system.
#undef fseeko
#undef posix_fadvise

int member_fseek(std::FILE *file, off_t offset, int whence) {
    const std::optional<MemberExtent> extent = whence == SEEK_END ? member_of(fileno(file)) : std::nullopt;
    return extent ? fseeko(file, static_cast<off_t>(extent->end) + offset, SEEK_SET) : fseeko(file, offset, whence);
}

int member_fadvise([[maybe_unused]] int descriptor, [[maybe_unused]] off_t offset, [[maybe_unused]] off_t size,
                   [[maybe_unused]] int advice) {
#ifdef POSIX_FADV_SEQUENTIAL
    const std::optional<MemberExtent> extent = offset == 0 && size == 0 ? member_of(descriptor) : std::nullopt;
    if (extent) {
        offset = static_cast<off_t>(extent->offset);
        size = static_cast<off_t>(extent->end - extent->offset);
    }
    return posix_fadvise(descriptor, offset, size, advice);
#else
    return 0;
#endif
}
