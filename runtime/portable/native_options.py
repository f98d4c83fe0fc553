"""Options of the native program that the portable runtime lacks.

The default arguments of a llamafile are for the native program: the portable runtime must know its options to tell them
from mistakes, and their values from other arguments. The native program reads its list from the engine at run time
(shim/options/options.cpp, shim/options/flags.cpp); a test compares the two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REFUSED", "native_value_count"]

# Options that change the text: refused instead of ignored.
_REFUSED: Final = """
-i --interactive -if --interactive-first
--lora-scaled --control-vector-scaled --control-vector-layer-range
--image --audio --video --lora --control-vector --grammar --grammar-file -j --json-schema -jf --json-schema-file
--override-kv --rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor
--yarn-attn-factor --yarn-beta-slow --yarn-beta-fast -gan --grp-attn-n -gaw --grp-attn-w
"""
REFUSED: Final = frozenset(_REFUSED.split())

# Table options: generated from common/arg.cpp and shim/options/flags.cpp by tools/engine_tables.py
_SWITCHES: Final = """
--agent --ascii --backend-sampling --cache-idle-slots --cache-list --cache-prompt --chatbot-mode --chatml
--check-tensors --completion-bash --completion-mode --cont-batching --context-shift --conversation --cors-credentials
--cpu-moe --cpu-moe-draft --dump-kv-cache --embd-gemma-default --embedding --embeddings --fast --fim-qwen-1.5b-default
--fim-qwen-14b-spec --fim-qwen-30b-default --fim-qwen-3b-default --fim-qwen-7b-default --fim-qwen-7b-spec
--gpt-oss-120b-default --gpt-oss-20b-default --ignore-eos --in-prefix-bos --instruct --interactive --interactive-first
--iq --jinja --kv-offload --kv-unified --list-devices --log-append --log-enable --log-jsonl --log-new --log-prefix
--log-test --log-timestamps --log-verbose --logits-all --lora-init-without-apply --low-vram --memory-f32 --metrics
--mlock --mmap --mmproj-auto --mmproj-offload --models-autoload --mul-mat-q --multiline-input --no-agent
--no-cache-idle-slots --no-cache-prompt --no-cont-batching --no-context-shift --no-conversation --no-cors-credentials
--no-host --no-jinja --no-kv-offload --no-kv-unified --no-log-jsonl --no-log-prefix --no-log-timestamps --no-mmap
--no-mmproj --no-mmproj-auto --no-mmproj-offload --no-models-autoload --no-mul-mat-q --no-op-offload --no-penalize-nl
--no-perf --no-prefill-assistant --no-reasoning-preserve --no-repack --no-show-timings --no-skip-chat-parsing --no-slots
--no-spec-draft-backend-sampling --no-ui --no-ui-mcp-proxy --no-warmup --no-webui --no-webui-mcp-proxy --nobrowser
--nocompile --nologo --offline --op-offload --penalize-nl --perf --precise --prefill-assistant --prompt-cache-all
--prompt-cache-ro --props --reasoning-preserve --recompile --repack --rerank --reranking --reuse-port --show-timings
--simple-io --single-turn --skip-chat-parsing --slots-endpoint-disable --spec-default --spec-draft-backend-sampling
--spec-draft-cpu-moe --special --spm-infill --swa-full --tinyblas --trace --trap --ui --ui-mcp-proxy --unsealed
--unsecure --verbose --verbose-prompt --vision-gemma-12b-default --vision-gemma-4b-default --warmup --webui
--webui-mcp-proxy -ag -bs -cb -cl -cml -cmoe -cmoed -cnv -dkvc -i -if -ins -kvo -kvu -mli -mmq -nkvo -no-ag -no-cnv
-no-kvu -nocb -nommq -nr -sp -st -v
"""
_WITH_VALUE: Final = """
--adaptive-decay --adaptive-target --alias --api-key --api-key-file --api-prefix --audio --batch-size --cache-ram
--cache-reuse --cache-type-k --cache-type-k-draft --cache-type-v --cache-type-v-draft --cfg-negative-prompt
--cfg-negative-prompt-file --cfg-scale --chat-template --chat-template-file --chat-template-kwargs --checkpoint-min-step
--control-vector --cors-headers --cors-methods --cors-origins --cpu-mask --cpu-mask-batch --cpu-mask-batch-draft
--cpu-mask-draft --cpu-range --cpu-range-batch --cpu-range-draft --cpu-strict --cpu-strict-batch
--cpu-strict-batch-draft --cpu-strict-draft --ctx-checkpoints --db --db-startup-sql --defrag-thold --device
--device-draft --docker-repo --draft --draft-max --draft-min --draft-n --draft-n-min --draft-p-min --draft-p-split
--dry-allowed-length --dry-base --dry-multiplier --dry-penalty-last-n --dry-sequence-breaker --dynatemp-exp
--dynatemp-range --embd-normalize --fit --fit-ctx --fit-target --frequency-penalty --gpu --gpu-layers --gpu-layers-draft
--grammar --grammar-file --grp-attn-n --grp-attn-w --hf-file --hf-repo --hf-repo-draft --hf-token --host --image
--image-max-tokens --image-min-tokens --in-prefix --in-suffix --ip-header --json-schema --json-schema-file --keep
--keepalive --kv-unified-per-slot --lazy-mode --listen --load-mode --log-colors --log-file --log-format
--log-prompts-dir --log-verbosity --logdir --logit-bias --lookup-cache-dynamic --lookup-cache-static --lora --lora-base
--main-gpu --mcp-servers-config --mcp-servers-json --media-path --mirostat --mirostat-ent --mirostat-lr --mmproj
--mmproj-device --mmproj-url --model-draft --model-url --models-dir --models-max --models-preset --mtmd-batch-max-tokens
--n-cpu-ffn --n-cpu-moe --n-cpu-moe-draft --n-gpu-layers --n-gpu-layers-draft --output --output-file --override-kv
--override-tensor --override-tensor-draft --p-split --parallel --path --poll --poll-batch --poll-batch-draft
--poll-draft --pooling --port --presence-penalty --print-token-count --prio --prio-batch --prio-batch-draft --prio-draft
--prompt-cache --reasoning --reasoning-budget --reasoning-budget-message --reasoning-effort --reasoning-format
--repeat-last-n --repeat-penalty --rope-freq-base --rope-freq-scale --rope-scale --rope-scaling --rpc --sampler-seq
--samplers --sampling-seq --server-base --sleep-idle-seconds --slot-prompt-similarity --slot-save-path
--spec-draft-cpu-mask --spec-draft-cpu-mask-batch --spec-draft-cpu-range --spec-draft-cpu-strict
--spec-draft-cpu-strict-batch --spec-draft-device --spec-draft-hf --spec-draft-model --spec-draft-n-cpu-moe
--spec-draft-n-max --spec-draft-n-min --spec-draft-ncmoe --spec-draft-ngl --spec-draft-override-tensor
--spec-draft-p-min --spec-draft-p-split --spec-draft-poll --spec-draft-poll-batch --spec-draft-prio
--spec-draft-prio-batch --spec-draft-threads --spec-draft-threads-batch --spec-draft-type-k --spec-draft-type-v
--spec-ngram-map-k-min-hits --spec-ngram-map-k-size-m --spec-ngram-map-k-size-n --spec-ngram-map-k4v-min-hits
--spec-ngram-map-k4v-size-m --spec-ngram-map-k4v-size-n --spec-ngram-min-hits --spec-ngram-mod-n-match
--spec-ngram-mod-n-max --spec-ngram-mod-n-min --spec-ngram-simple-min-hits --spec-ngram-simple-size-m
--spec-ngram-simple-size-n --spec-ngram-size-m --spec-ngram-size-n --spec-synth-len --spec-synth-rates --spec-type
--split-mode --sse-ping-interval --ssl-cert-file --ssl-key-file --swa-checkpoints --system-prompt --system-prompt-file
--tags --tensor-split --tfs --threads-batch --threads-batch-draft --threads-draft --threads-http --timeout --token-burst
--token-cidr --token-rate --tools --tools-runtime --top-n-sigma --top-nsigma --trust --typical --typical-p --ubatch-size
--ui-config --ui-config-file --url-prefix --verbosity --video --video-ffmpeg-dir --video-fps --video-timestamp-interval
--webui-config --webui-config-file --workers --www-root --xtc-probability --xtc-threshold --yarn-attn-factor
--yarn-beta-fast --yarn-beta-slow --yarn-ext-factor --yarn-orig-ctx -C -Cb -Cbd -Cd -Cr -Crb -Crd -H -a -b -cms -cram
-ctk -ctkd -ctv -ctvd -ctxcp -dev -devd -dr -dt -fit -fitc -fitt -gan -gaw -hf -hfd -hff -hfr -hfrd -hft -j -jf -k -l
-lcd -lcs -ld -lm -lv -lzm -md -mg -mm -mmdev -mmu -mu -ncffn -ncmoe -ncmoed -ngl -ngld -np -o -ot -otd -ps -ptc -rea
-sm -spf -sps -sys -sysf -tb -tbd -td -to -ts -ub -w
"""
_WITH_TWO_VALUES: Final = """
--control-vector-layer-range
"""
# End of table options
_VALUE_COUNTS: Final = {
    **dict.fromkeys(_SWITCHES.split(), 0),
    **dict.fromkeys(_WITH_VALUE.split(), 1),
    **dict.fromkeys(_WITH_TWO_VALUES.split(), 2),
}
# Options with an optional value.
_STATE: Final = re.compile(r"on|enabled|true|1|off|disabled|false|0|auto")
_WITH_OPTIONAL_VALUE: Final = {
    "--color": _STATE,
    "-co": _STATE,
    "--flash-attn": _STATE,
    "-fa": _STATE,
    "--numa": re.compile(r"distribute|isolate|numactl"),
    "--slots": re.compile(r"\d+"),
}
_WITH_SCALE: Final = ("--lora-scaled", "--control-vector-scaled")  # NAME:NUMBER, or NAME NUMBER
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def native_value_count(name: str, rest: Sequence[str]) -> int | None:
    """Return the number of arguments in REST that are values of the option NAME; None if there is no such option."""
    if name in _WITH_OPTIONAL_VALUE:
        return int(bool(rest and _WITH_OPTIONAL_VALUE[name].fullmatch(rest[0])))
    if name in _WITH_SCALE:
        is_joined = bool(rest and _NUMBER.fullmatch(rest[0].rpartition(":")[2]))
        return 2 if len(rest) > 1 and not is_joined and _NUMBER.fullmatch(rest[1]) else 1
    return _VALUE_COUNTS.get(name)
