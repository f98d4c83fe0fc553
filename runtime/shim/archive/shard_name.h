// Names of the files of a model that is split: STEM-00002-of-00003.gguf.

#pragma once

#include <optional>
#include <string>

struct ShardName {
    std::string stem; // with its folders
    int number;       // from 1
    int count;
};

// Nothing if PATH is not the name of a shard. The extension may be in upper case.
std::optional<ShardName> parse_shard_name(const std::string &path);

// The path of the shard NUMBER of the same model.
std::string shard_path(const ShardName &name, int number);
