#include "archive/shard_name.h"

#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace {

constexpr const char PATTERN[] = "-00000-of-00000.gguf"; // 0 stands for any digit
constexpr size_t TAIL_SIZE = sizeof PATTERN - 1;
constexpr size_t NUMBER_OFFSET = 1;
constexpr size_t COUNT_OFFSET = 10;

} // namespace

std::optional<ShardName> parse_shard_name(const std::string &path) {
    if (path.size() < TAIL_SIZE) {
        return std::nullopt;
    }
    const std::string tail = lower_case(path.substr(path.size() - TAIL_SIZE));
    const bool matches = std::equal(tail.begin(), tail.end(), PATTERN, [](char got, char expected) {
        return expected == '0' ? std::isdigit(static_cast<unsigned char>(got)) != 0 : got == expected;
    });
    if (!matches) {
        return std::nullopt;
    }
    return ShardName{path.substr(0, path.size() - TAIL_SIZE), std::stoi(tail.substr(NUMBER_OFFSET, 5)),
                     std::stoi(tail.substr(COUNT_OFFSET, 5))};
}

std::string shard_path(const ShardName &name, int number) {
    char tail[TAIL_SIZE + 1];
    std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", number, name.count);
    return name.stem + tail;
}
