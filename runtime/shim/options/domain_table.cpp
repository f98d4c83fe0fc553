#include "options/domain_table.h"

#include <cstring>
#include <map>
#include <sstream>

namespace {

// clang-format off
// Table checked options: generated from common/arg.cpp and shim/options/flags.cpp by tools/engine_tables.py
constexpr char TABLE[] = R"(
address: --listen
caseless auto nvidia amd apple intel vulkan disable = cublas rocm rocblas hip metal disabled: --gpu
choice auto none mmap mlock mmap+mlock dio: --load-mode -lm
choice f32 f16 bf16 q8_0 q4_0 q4_1 iq4_nl q5_0 q5_1: --cache-type-k --cache-type-k-draft --cache-type-v
  --cache-type-v-draft --spec-draft-type-k --spec-draft-type-v -ctk -ctkd -ctv -ctvd
choice none auto deepseek deepseek-legacy: --reasoning-format
choice none layer row tensor: --split-mode -sm
choice none linear yarn: --rope-scaling
choice none mean cls last rank: --pooling
choice on auto off: --lazy-mode -lzm
choice on off = enabled true 1 disabled false 0: --fit -fit
choice on off auto = enabled true 1 disabled false 0 -1: --log-colors --reasoning -rea
engine: --cpu-mask --cpu-mask-batch --cpu-mask-batch-draft --cpu-mask-draft --cpu-range --cpu-range-batch
  --cpu-range-draft --device --device-draft --host --logit-bias --media-path --mmproj-device --override-kv
  --override-tensor --override-tensor-draft --slot-save-path --spec-draft-cpu-mask --spec-draft-cpu-mask-batch
  --spec-draft-cpu-range --spec-draft-device --spec-draft-override-tensor -C -Cb -Cbd -Cd -Cr -Crb -Crd -dev -devd -l
  -mmdev -ot -otd
integer -1 2147483647: --cache-ram --embd-normalize --keep --reasoning-budget --sse-ping-interval -cram
integer -1 3: --prio
integer -1 4294967295: --seed -s
integer -1 512: --spec-draft-threads --spec-draft-threads-batch --threads --threads-batch --threads-batch-draft
  --threads-draft -t -tb -tbd -td
integer -1 65535: --threads-http
integer -2 2147483647: --n-predict --predict -n
integer -2 2147483647 auto all: --gpu-layers --gpu-layers-draft --n-gpu-layers --n-gpu-layers-draft --spec-draft-ngl
  -ngl -ngld
integer -2147483648 2147483647: --log-verbosity --print-token-count --spec-ngram-min-hits --spec-ngram-size-m
  --spec-ngram-size-n --top-k --verbosity --video-timestamp-interval -lv -ptc
integer 0 1: --cpu-strict --cpu-strict-batch --cpu-strict-batch-draft --cpu-strict-draft --poll-batch --poll-batch-draft
  --poll-draft --spec-draft-cpu-strict --spec-draft-cpu-strict-batch --spec-draft-poll --spec-draft-poll-batch
integer 0 100: --poll
integer 0 1024: --spec-ngram-mod-n-max --spec-ngram-mod-n-min
integer 0 2: --mirostat
integer 0 2147483647: --cache-disk --cache-reuse --checkpoint-min-step --ctx-checkpoints --draft --draft-max --draft-min
  --draft-n --draft-n-min --dry-allowed-length --dry-penalty-last-n --fit-ctx --image-max-tokens --image-min-tokens
  --kv-unified-per-slot --main-gpu --models-max --mtmd-batch-max-tokens --n-cpu-ffn --n-cpu-moe --n-cpu-moe-draft
  --repeat-last-n --spec-draft-n-cpu-moe --spec-draft-n-max --spec-draft-n-min --spec-draft-ncmoe --swa-checkpoints
  --ubatch-size --yarn-orig-ctx -cms -ctxcp -fitc -mg -ncffn -ncmoe -ncmoed -ub
integer 0 3: --prio-batch --prio-batch-draft --prio-draft --spec-draft-prio --spec-draft-prio-batch
integer 0 65535: --port
integer 0 86400: --rpc-wait --shutdown-seconds
integer 1 1024: --spec-ngram-map-k-size-m --spec-ngram-map-k-size-n --spec-ngram-map-k4v-size-m
  --spec-ngram-map-k4v-size-n --spec-ngram-mod-n-match --spec-ngram-simple-size-m --spec-ngram-simple-size-n
integer 1 2147483647: --batch-size --grp-attn-n --grp-attn-w --models-memory --spec-ngram-map-k-min-hits
  --spec-ngram-map-k4v-min-hits --spec-ngram-simple-min-hits --timeout -b -gan -gaw -to
integer 1 2147483647 -1: --parallel --sleep-idle-seconds -np
json: --chat-template-kwargs --json-schema --mcp-servers-json --ui-config --webui-config -j
letters dkypsmtxiea: --sampler-seq --sampling-seq
list , none draft-simple draft-eagle3 draft-mtp draft-dflash draft-dspark ngram-simple ngram-map-k ngram-map-k4v
  ngram-mod ngram-cache: --spec-type
list ; dry top_k top_p top_n_sigma typ_p min_p temperature xtc infill penalties adaptive_p = nucleus temp typ top-k topk
  top-p topp top-n-sigma topnsigma typ-p typp min-p minp adaptive-p adaptivep: --samplers
number - -: --adaptive-decay --adaptive-target --dry-multiplier --dynatemp-exp --dynatemp-range --frequency-penalty
  --mirostat-ent --mirostat-lr --presence-penalty --rope-freq-base --rope-freq-scale --spec-synth-len --temp
  --temperature --top-n-sigma --top-nsigma --yarn-attn-factor --yarn-beta-fast --yarn-beta-slow --yarn-ext-factor
number 0 - above: --repeat-penalty --rope-scale --video-fps
number 0 1: --draft-p-min --draft-p-split --min-p --p-split --slot-prompt-similarity --spec-draft-p-min
  --spec-draft-p-split --top-p --typical --typical-p --xtc-probability --xtc-threshold -ps -sps
number 1 -: --dry-base
numbers ,: --spec-synth-rates
numbers ,/: --fit-target --tensor-split -fitt -ts
optional choice distribute isolate numactl: --numa
optional choice on off auto = enabled true 1 disabled false 0: --color --flash-attn -co -fa
optional integer 1 2147483647: --slots
scaled: --control-vector-scaled --lora-scaled
size 0 2147483647: --ctx-size -c
two integer -2147483648 2147483647: --control-vector-layer-range
)";
// End of table checked options
// clang-format on

constexpr char CONTINUED[] = "\n  "; // within a line of the table

Domain parse_domain(const std::string &text) {
    std::istringstream stream(text);
    Domain domain;
    stream >> domain.kind;
    while (domain.kind == "optional" || domain.kind == "two") {
        stream >> domain.kind;
    }
    bool is_shown = true;
    for (std::string word; stream >> word;) {
        if (word == "=") {
            is_shown = false;
            continue;
        }
        domain.words.push_back(word);
        domain.shown += is_shown;
    }
    return domain;
}

std::map<std::string, Domain> parse_table() {
    std::map<std::string, Domain> domains;
    std::string table = TABLE;
    for (size_t at = table.find(CONTINUED); at != std::string::npos; at = table.find(CONTINUED, at)) {
        table.replace(at, std::strlen(CONTINUED), " ");
    }
    std::istringstream lines(table);
    for (std::string line; std::getline(lines, line);) {
        const size_t colon = line.find(": ");
        if (colon == std::string::npos) {
            continue; // the first line is empty
        }
        const Domain domain = parse_domain(line.substr(0, colon));
        std::istringstream names(line.substr(colon + 2));
        for (std::string name; names >> name;) {
            domains.emplace(name, domain);
        }
    }
    return domains;
}

} // namespace

const Domain *domain_of(const std::string &name) {
    static const std::map<std::string, Domain> domains = parse_table();
    const auto found = domains.find(name);
    return found == domains.end() ? nullptr : &found->second;
}
