#include "resolve/weights_size.h"

#include "archive/reference.h"
#include "archive/shard_name.h"

namespace {

uint64_t size_of(const std::string &name) {
    if (const File file = open_on_disk(name)) {
        return file_size(file.get()).value_or(0);
    }
    const MemberReference reference = member_named(name);
    return reference ? reference.member->size : 0;
}

} // namespace

uint64_t weights_size(const std::string &name) {
    const std::optional<ShardName> shard = parse_shard_name(name);
    if (!shard) {
        return size_of(name);
    }
    uint64_t size = 0;
    for (int number = 1; number <= shard->count; ++number) {
        size += size_of(shard_path(*shard, number));
    }
    return size;
}
