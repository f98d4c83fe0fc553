// Prints the parts of each argument by the shim's rule for names of shards, and the path of shard 7, each ended by a
// NUL.

#include "archive/shard_name.h"

#include <cstdio>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (const std::optional<ShardName> name = parse_shard_name(argv[i])) {
            std::printf("%s|%d|%s", name->stem.c_str(), name->number, shard_path(*name, 7).c_str());
        } else {
            std::printf("none");
        }
        std::putchar(0);
    }
}
