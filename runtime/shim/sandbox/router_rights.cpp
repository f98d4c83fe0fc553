#include "sandbox/router_rights.h"

#include "archive/own_container.h"
#include "archive/reference.h"
#include "archive/shard_name.h"
#include "base/csv.h"
#include "base/own_file.h"
#include "common.h"
#include "engine/model_cache.h"
#include "hooks/hooks.h"
#include "resolve/presets.h"

namespace {

using Paths = std::vector<std::string>;

// The files of NAME, if it is one: the container for a member, all files for a split model.
void add_files(const std::string &name, Paths &files) {
    if (is_on_disk(name)) {
        files.push_back(name);
        if (const std::optional<ShardName> shard = parse_shard_name(name)) {
            for (int number = 1; number <= shard->count; ++number) {
                files.push_back(shard_path(*shard, number));
            }
        }
    } else if (member_named(name)) {
        files.push_back(llamafile_disk_file(name));
    }
}

// What the values of options in the list NAME name: weights, templates, grammars.
void add_listed_files(const std::string &name, Paths &files) {
    files.push_back(llamafile_disk_file(name));
    for (const Preset &preset : read_presets(name)) {
        for (const std::string &argument : preset.arguments) {
            for (const std::string &value : split_csv(argument)) {
                add_files(value, files);
            }
        }
    }
}

} // namespace

void add_router_rights(const common_params &params, Rights &rights) {
    rights.spawn = rights.connect = rights.read_files = true;
    for (const std::string &word : own_command()) {
        rights.executable.push_back(word);
    }
    add_files(own_container()->location(), rights.readable);
    add_files(params.models_dir, rights.readable);
    if (!params.models_preset.empty()) {
        add_listed_files(params.models_preset, rights.readable);
    }
    if (!llamafile_sealed()) {
        rights.readable.push_back(model_cache_folder());
    }
}
