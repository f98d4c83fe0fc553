#include "prompts/identity.h"

#include "archive/reference.h"
#include "archive/shard_name.h"
#include "base/digest.h"
#include "base/file.h"
#include "common.h"
#include "cpu/cpu_variant.h"
#include "gpu/gpu.h"
#include "llama.h"

#include <filesystem>
#include <system_error>

extern "C" std::FILE *ggml_fopen(const char *path, const char *mode); // opens members too (hooks/member_file.cpp)

namespace {

constexpr uint64_t SAMPLES = 256;
constexpr size_t SAMPLE_SIZE = 4096;

// The beginning, which describes the model, and pieces of all large tensors. All of a file would take as long as
// computing the prompt.
void add_samples(Digest &digest, const std::string &name, uint64_t size) {
    const File file(ggml_fopen(name.c_str(), "rb"));
    char sample[SAMPLE_SIZE];
    for (uint64_t i = 0; file != nullptr && i < SAMPLES; ++i) {
        const size_t count = std::fread(sample, 1, sizeof sample, file.get());
        digest.add(sample, count);
        const uint64_t step = size / SAMPLES;
        if (step > count) {
            skip(file.get(), step - count);
        }
    }
}

// A member's checksum is in the archive's directory; a file on disk has the time of its last change.
void add_file(Digest &digest, const std::string &name) {
    uint64_t size = 0;
    if (is_on_disk(name)) {
        std::error_code error;
        size = std::filesystem::file_size(system_path(name), error);
        digest.add_number(std::filesystem::last_write_time(system_path(name), error).time_since_epoch().count());
    } else if (const MemberReference reference = member_named(name)) {
        size = reference.member->size;
        digest.add_number(reference.member->crc);
    }
    digest.add_number(size);
    add_samples(digest, name, size);
}

void add_model(Digest &digest, const std::string &name) {
    if (name.empty()) {
        return;
    }
    const std::optional<ShardName> shard = parse_shard_name(name);
    for (int number = 1; shard && number <= shard->count; ++number) {
        add_file(digest, shard_path(*shard, number));
    }
    if (!shard) {
        add_file(digest, name);
    }
}

std::string metadata(const llama_model *model, const std::string &key) {
    char text[256] = "";
    llama_model_meta_val_str(model, key.c_str(), text, sizeof text);
    return text;
}

// Some models choose their frequencies by the size of the context.
bool depends_on_context_size(const llama_model *model) {
    return metadata(model, metadata(model, "general.architecture") + ".rope.scaling.type") == "longrope";
}

void add_override(Digest &digest, const llama_model_kv_override &value) {
    digest.add(std::string(value.key));
    switch (value.tag) {
    case LLAMA_KV_OVERRIDE_TYPE_INT:
        digest.add_number(value.val_i64);
        break;
    case LLAMA_KV_OVERRIDE_TYPE_FLOAT:
        digest.add_number(value.val_f64);
        break;
    case LLAMA_KV_OVERRIDE_TYPE_BOOL:
        digest.add_number(value.val_bool);
        break;
    case LLAMA_KV_OVERRIDE_TYPE_STR:
        digest.add(std::string(value.val_str));
        break;
    }
}

void add_settings(Digest &digest, const common_params &params, const llama_model *model) {
    digest.add_number(params.cache_type_k);
    digest.add_number(params.cache_type_v);
    digest.add_number(params.flash_attn_type);
    digest.add_number(params.attention_type);
    digest.add_number(params.swa_full);
    digest.add_number(params.kv_unified ? 1
                                        : params.n_parallel); // parts of the memory, which a state has the number of
    digest.add_number(params.rope_scaling_type);
    digest.add_number(params.rope_freq_base);
    digest.add_number(params.rope_freq_scale);
    digest.add_number(params.yarn_ext_factor);
    digest.add_number(params.yarn_attn_factor);
    digest.add_number(params.yarn_beta_fast);
    digest.add_number(params.yarn_beta_slow);
    digest.add_number(params.yarn_orig_ctx);
    digest.add_number(depends_on_context_size(model) ? params.n_ctx : 0);
    for (const llama_model_kv_override &value : params.kv_overrides) {
        if (value.key[0] == '\0') {
            break; // the engine's mark of the end
        }
        add_override(digest, value);
    }
}

} // namespace

StateContext::StateContext(const common_params &params, const llama_model *model) {
    Digest digest;
    digest.add(std::string(LLAMAFILE_VERSION));
    digest.add(std::string(cpu_variant())); // results differ in their last bits
    for (const Gpu &gpu : gpus_in_use()) {
        digest.add(gpu.device);
        digest.add(gpu.name);
    }
    add_settings(digest, params, model);
    add_model(digest, params.model.path);
    add_model(digest, params.speculative.draft.mparams.path);
    for (const common_control_vector_load_info &vector : params.control_vectors) {
        add_file(digest, vector.fname);
        digest.add_number(vector.strength);
    }
    digest.add_number(params.control_vector_layer_start);
    digest.add_number(params.control_vector_layer_end);
    base = digest.value();
    for (const common_adapter_lora_info &adapter : params.lora_adapters) {
        Digest content;
        add_file(content, adapter.path);
        adapter_files[adapter.path] = content.value();
    }
}

uint64_t StateContext::with(const std::vector<common_adapter_lora_info> &adapters, bool has_draft) const {
    Digest digest;
    digest.add_number(base);
    digest.add_number(has_draft);
    for (const common_adapter_lora_info &adapter : adapters) {
        const auto file = adapter_files.find(adapter.path);
        if (adapter.scale != 0 && file != adapter_files.end()) {
            digest.add_number(file->second);
            digest.add_number(adapter.scale);
        }
    }
    return digest.value();
}
