#include "gpu/shaders.h"

#include "archive/own_container.h"
#include "gpu/inflate.h"

#include <cstdint>
#include <cstring>

// Defined by the assembler source that runtime/builder/vulkan/shaders.py writes: room for the modules, which end with a
// number of their own, and this number. The engine's names for the modules are places in the room.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming): names for the linker
extern unsigned char llamafile_shaders[];
extern const uint64_t llamafile_shaders_size;
extern const uint64_t llamafile_shaders_number;
// NOLINTEND(readability-identifier-naming)
}

std::string load_shaders() {
    const std::optional<CompressedMember> member = read_compressed(SHADERS_MEMBER);
    if (!member) {
        return "there is no member " + std::string(SHADERS_MEMBER) + " in " + program_container()->name();
    }
    std::string mismatch = std::string(SHADERS_MEMBER) + " belongs to another version of this program";
    if (member->size != llamafile_shaders_size) {
        return mismatch;
    }
    inflate(*member, llamafile_shaders);
    uint64_t number = 0;
    std::memcpy(&number, llamafile_shaders + member->size - sizeof number, sizeof number);
    if (number == llamafile_shaders_number) {
        mismatch.clear();
    }
    return mismatch;
}
