"""The options of a llamafile, with the values that each takes, generated from the engine's source.

The native program refuses the same values in the same words (shim/options/value_domain.cpp, from the same table);
apepack checks default arguments with this module, and the portable runtime tells options from values with it.
tools/option_table.py describes the domains.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["domain_of", "domains", "value_count", "value_refusal"]

# Table options: generated from common/arg.cpp and shim/options/flags.cpp by tools/engine_tables.py
_TABLE: Final = """
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
switch: --agent --ascii --backend-sampling --cache-idle-slots --cache-list --cache-prompt --chat --chatbot-mode --chatml
  --check-tensors --cli --completion-bash --completion-mode --cont-batching --context-shift --conversation
  --cors-credentials --cpu-moe --cpu-moe-draft --display-prompt --dump-kv-cache --embd-gemma-default --embedding
  --embeddings --escape --fast --fim-qwen-1.5b-default --fim-qwen-14b-spec --fim-qwen-30b-default --fim-qwen-3b-default
  --fim-qwen-7b-default --fim-qwen-7b-spec --gpt-oss-120b-default --gpt-oss-20b-default --gpu-info --gpu-info-json
  --help --help-engine --ignore-eos --in-prefix-bos --instruct --interactive --interactive-first --iq --jinja
  --kv-offload --kv-unified --list-devices --log-append --log-disable --log-enable --log-jsonl --log-new --log-prefix
  --log-test --log-timestamps --log-verbose --logits-all --lora-init-without-apply --low-vram --memory-f32 --metrics
  --mlock --mmap --mmproj-auto --mmproj-offload --models-autoload --mul-mat-q --multiline-input --no-agent
  --no-cache-idle-slots --no-cache-prompt --no-cont-batching --no-context-shift --no-conversation --no-cors-credentials
  --no-display-prompt --no-escape --no-host --no-jinja --no-kv-offload --no-kv-unified --no-log-jsonl --no-log-prefix
  --no-log-timestamps --no-mmap --no-mmproj --no-mmproj-auto --no-mmproj-offload --no-models-autoload --no-mul-mat-q
  --no-op-offload --no-penalize-nl --no-perf --no-prefill-assistant --no-reasoning-preserve --no-repack
  --no-show-timings --no-skip-chat-parsing --no-slots --no-spec-draft-backend-sampling --no-ui --no-ui-mcp-proxy
  --no-warmup --no-webui --no-webui-mcp-proxy --nobrowser --nocompile --nologo --offline --op-offload --penalize-nl
  --perf --precise --prefill-assistant --prompt-cache-all --prompt-cache-ro --props --random-prompt --reasoning-preserve
  --recompile --repack --rerank --reranking --reuse-port --server --show-timings --silent-prompt --simple-io
  --single-turn --skip-chat-parsing --slots-endpoint-disable --spec-default --spec-draft-backend-sampling
  --spec-draft-cpu-moe --special --spm-infill --swa-full --tinyblas --trace --trap --ui --ui-mcp-proxy --unsealed
  --unsecure --usage --v2 --verbose --verbose-prompt --version --vision-gemma-12b-default --vision-gemma-4b-default
  --warmup --webui --webui-mcp-proxy -ag -bs -cb -cl -cml -cmoe -cmoed -cnv -dkvc -e -h -help -i -if -ins -kvo -kvu -mli
  -mmq -nkvo -no-ag -no-cnv -no-kvu -nocb -nommq -nr -sp -st -v
text: --alias --allow-origin --api-key --api-key-file --api-prefix --audio --binary-file --cfg-negative-prompt
  --cfg-negative-prompt-file --cfg-scale --chat-template --chat-template-file --control-vector --cors-headers
  --cors-methods --cors-origins --db --db-startup-sql --defrag-thold --docker-repo --dry-sequence-breaker --file
  --grammar --grammar-file --hf-file --hf-repo --hf-repo-draft --hf-token --image --in-prefix --in-suffix --ip-header
  --json-schema-file --keepalive --log-file --log-format --log-prompts-dir --logdir --lookup-cache-dynamic
  --lookup-cache-static --lora --lora-base --mcp-servers-config --mmproj --mmproj-url --model --model-draft --model-url
  --models-dir --models-preset --output --output-file --path --prompt --prompt-cache --reasoning-budget-message
  --reasoning-effort --reverse-prompt --rpc --server-base --spec-draft-hf --spec-draft-model --ssl-cert-file
  --ssl-key-file --system-prompt --system-prompt-file --tags --tfs --token-burst --token-cidr --token-rate --tools
  --tools-runtime --trust --ui-config-file --url-prefix --video --video-ffmpeg-dir --webui-config-file --workers
  --www-root -H -a -bf -dr -dt -f -hf -hfd -hff -hfr -hfrd -hft -jf -k -lcd -lcs -ld -m -md -mm -mmu -mu -o -p -r -spf
  -sys -sysf -w
two integer -2147483648 2147483647: --control-vector-layer-range
"""
# End of table options

_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_SIZE: Final = re.compile(r"([0-9]{1,5})[kK]")
_ADDRESS: Final = re.compile(r".*:([0-9]+)", re.DOTALL)
_PORT_MAX: Final = 65535
_FLOAT_MIN: Final = 1.17549435e-38  # the engine's conversion to float fails beyond these
_FLOAT_MAX: Final = 3.40282347e38


@cache
def domains() -> dict[str, str]:
    """Return the domain of each option of a llamafile."""
    lines = re.sub(r"\n +", " ", _TABLE).strip().split("\n")
    parts = (line.partition(": ") for line in lines)
    return {name: domain for domain, _, names in parts for name in names.split(" ")}


def domain_of(name: str) -> str | None:
    """Return the domain of the option NAME, or None if there is no such option."""
    return domains().get(name)


def value_count(name: str, rest: Sequence[str]) -> int | None:
    """Return the number of arguments in REST that are values of the option NAME; None if there is no such option."""
    domain = domain_of(name)
    if domain is None or domain == "switch":
        return None if domain is None else 0
    kind, _, inner = domain.partition(" ")
    if kind == "optional":
        return int(bool(rest) and _starts_value(rest[0], inner))
    if kind == "scaled":
        is_joined = bool(rest) and _NUMBER.fullmatch(rest[0].rpartition(":")[2])
        return 2 if len(rest) > 1 and not is_joined and _NUMBER.fullmatch(rest[1]) else 1
    return 2 if kind == "two" else 1


def value_refusal(name: str, values: Sequence[str]) -> str | None:
    """Return why VALUES cannot be those of the option NAME, as a sentence without its end; None if they can be.

    A value that only the engine can judge is accepted.
    """
    domain = (domain_of(name) or "text").removeprefix("optional ").removeprefix("two ")
    kind, _, rest = domain.partition(" ")
    for value in values if kind != "scaled" else ():
        if not _contains(kind, rest, value):
            return f"'{name}' is {_description(kind, rest)}, not '{value}'"
    return None


def _starts_value(text: str, domain: str) -> bool:
    """Return whether TEXT after an option is its optional value: what else it may be begins with a hyphen."""
    kind, _, rest = domain.partition(" ")
    return bool(re.fullmatch(r"[0-9]+", text)) if kind == "integer" else _contains(kind, rest, text)


def _contains(kind: str, domain: str, value: str) -> bool:
    return _CONTAINS[kind](value, domain.replace(" = ", " ").split(" ")) if kind in _CONTAINS else True


def _is_integer(text: str, words: Sequence[str]) -> bool:
    is_in_range = bool(_INTEGER.fullmatch(text)) and int(words[0]) <= int(text) <= int(words[1])
    return is_in_range or text in words[2:]


def _is_number(text: str, words: Sequence[str]) -> bool:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    low, high = (None if word == "-" else float(word) for word in words[:2])
    is_float = number == 0 or _FLOAT_MIN <= abs(number) <= _FLOAT_MAX
    is_above = low is None or number > low or (number == low and "above" not in words)
    return is_float and is_above and (high is None or number <= high)


def _is_json(text: str, _words: Sequence[str]) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_address(text: str, _words: Sequence[str]) -> bool:
    found = _ADDRESS.fullmatch(text)
    return found is not None and int(found[1]) <= _PORT_MAX


# By the kind of domain; all values of other kinds are accepted.
_CONTAINS: Final[dict[str, Callable[[str, Sequence[str]], bool]]] = {
    "integer": _is_integer,
    "size": lambda text, words: bool(_SIZE.fullmatch(text)) or _is_integer(text, words),
    "number": _is_number,
    "numbers": lambda text, words: all(_NUMBER.fullmatch(item) for item in re.split(f"[{words[0]}]", text)),
    "letters": lambda text, words: text != "" and set(text) <= set(words[0]),
    "json": _is_json,
    "address": _is_address,
    "list": lambda text, words: all(item.lower() in words[1:] for item in text.split(words[0])),
    "choice": lambda text, words: text in words,
    "caseless": lambda text, words: text.lower() in words,
}


def _description(kind: str, domain: str) -> str:
    return _DESCRIPTIONS[kind](domain.partition(" = ")[0].split(" "))


def _bounds(words: Sequence[str]) -> str:
    low = "" if words[0] == "-" else f" greater than {words[0]}" if "above" in words else f" from {words[0]}"
    return low + ("" if words[1] == "-" else f" to {words[1]}")


def _alternatives(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


_DESCRIPTIONS: Final[dict[str, Callable[[Sequence[str]], str]]] = {
    "integer": lambda words: _alternatives([f"a whole number from {words[0]} to {words[1]}", *words[2:]]),
    "size": lambda words: f"a whole number from {words[0]} to {words[1]} or one such as 8k",
    "number": lambda words: f"a number{_bounds(words)}",
    "numbers": lambda words: f"a number, or several of them with '{words[0][0]}' between them",
    "letters": lambda words: f"a text of the letters {words[0]}",
    "json": lambda _: "JSON",
    "address": lambda _: f"HOST:PORT with a port up to {_PORT_MAX}",
    "list": lambda words: f"{_alternatives(words[1:])}, or several of them with '{words[0]}' between them",
    "choice": _alternatives,
    "caseless": _alternatives,
}
