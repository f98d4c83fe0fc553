#include "gpu/inflate.h"

#include "archive/own_container.h"
#include "base/user_error.h"

#include <zstd.h>

namespace {

constexpr uint64_t LARGEST = 1 << 30;

UserError damage(const std::string &what) {
    return UserError("the part for GPUs in " + program_container()->name() + " is damaged: " + what +
                     "; fetch the file again");
}

} // namespace

std::optional<CompressedMember> read_compressed(const std::string &name) {
    const std::shared_ptr<const Container> container = program_container();
    const zip::Member *member = container->find_member("/zip/" + name);
    if (member == nullptr) {
        return std::nullopt;
    }
    const File file = container->open();
    CompressedMember compressed{container->read_bytes(file.get(), *member), 0};
    compressed.size = ZSTD_getFrameContentSize(compressed.bytes.data(), compressed.bytes.size());
    if (compressed.size > LARGEST) { // the two error values, too
        throw damage("'" + name + "' does not begin with a header of zstd that states its size");
    }
    return compressed;
}

void inflate(const CompressedMember &member, void *target) {
    const size_t size = ZSTD_decompress(target, member.size, member.bytes.data(), member.bytes.size());
    if (ZSTD_isError(size) != 0 || size != member.size) {
        throw damage(ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "it ends early");
    }
}
