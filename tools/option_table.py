"""The table of a llamafile's options with the values that each takes, from the engine's source and the shim's flags.

The domain of an option is a text, which runtime/options.py and shim/options/domain.cpp read:

    switch                          no value
    text                            any value
    engine                          a value that only the engine can judge
    integer MIN MAX [WORD …]        a whole number in the range, or a word
    size MIN MAX                    a whole number in the range, or a number and k, which means 1024
    number MIN MAX [above]          a finite number in the range (`-`: without an end), above MIN with `above`
    choice WORD … [= WORD …]        one of the words; those behind the equals sign are accepted, and not shown
    caseless WORD … [= WORD …]      the same in upper or lower case
    list SEPARATOR WORD … [= …]     such words with separators between them
    numbers SEPARATORS              numbers, with one of the separators between two of them
    letters LETTERS                 some of the letters
    json                            JSON
    address                         HOST:PORT
    scaled                          FILE:NUMBER, or FILE and NUMBER
    optional DOMAIN                 a value of the domain, or none
    two DOMAIN                      two values of the domain
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tools.engine_source import match_source, read_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["option_domains"]

_INT: Final = "-2147483648 2147483647"
_COUNT: Final = "integer 0 2147483647"
_POSITIVE: Final = "integer 1 2147483647"
_SHARE: Final = "number 0 1"
_STATES: Final = ("on off", "enabled true 1 disabled false 0")
# The engine's modes that a llamafile has (shim/engine/engine_options.cpp).
_MODES: Final = {"CLI", "COMPLETION", "MTMD", "SERVER"}
_CONSTANTS: Final = {"GGML_SCHED_PRIO_LOW": -1, "GGML_SCHED_PRIO_REALTIME": 3}

# Domains that the engine's source does not state: it takes other values, and then fails, crashes, or wraps them.
_KNOWN: Final = {
    "--port": "integer 0 65535",
    "--rpc-wait": "integer 0 86400",
    "--rpc": "text",  # the engine would connect to judge it
    "--ctx-size": "size 0 2147483647",
    "--seed": "integer -1 4294967295",
    "--predict": "integer -2 2147483647",
    "--keep": "integer -1 2147483647",
    "--batch-size": _POSITIVE,
    "--ubatch-size": _COUNT,
    "--parallel": "integer 1 2147483647 -1",
    "--slots": "optional integer 1 2147483647",
    "--models-memory": "integer 1 2147483647",
    "--cache-disk": "integer 0 2147483647",
    "--sleep-idle-seconds": "integer 1 2147483647 -1",
    "--shutdown-seconds": "integer 0 86400",
    **dict.fromkeys(
        ("--threads", "--threads-batch", "--threads-draft", "--threads-batch-draft"),
        "integer -1 512",  # GGML_MAX_N_THREADS
    ),
    "--threads-http": "integer -1 65535",
    "--timeout": _POSITIVE,
    "--mirostat": "integer 0 2",
    "--grp-attn-n": _POSITIVE,
    "--grp-attn-w": _POSITIVE,
    "--cache-ram": "integer -1 2147483647",
    "--embd-normalize": "integer -1 2147483647",
    "--sse-ping-interval": "integer -1 2147483647",
    **dict.fromkeys(
        (
            "--ctx-checkpoints", "--kv-unified-per-slot", "--cache-reuse", "--fit-ctx", "--models-max", "--main-gpu",
            "--yarn-orig-ctx", "--image-min-tokens", "--image-max-tokens", "--mtmd-batch-max-tokens",
            "--dry-allowed-length", "--spec-draft-n-min",
        ),
        _COUNT,
    ),
    **dict.fromkeys(("--n-gpu-layers", "--n-gpu-layers-draft"), "integer -2 2147483647 auto all"),
    **dict.fromkeys(
        (
            "--top-p", "--min-p", "--typical", "--xtc-probability", "--xtc-threshold", "--slot-prompt-similarity",
            "--spec-draft-p-split", "--spec-draft-p-min",
        ),
        _SHARE,
    ),
    "--dry-base": "number 1 -",
    **dict.fromkeys(("--repeat-penalty", "--rope-scale", "--video-fps"), "number 0 - above"),
    **dict.fromkeys(("--tensor-split", "--fit-target"), "numbers ,/"),
    "--spec-synth-rates": "numbers ,",
    "--spec-synth-len": "number - -",
    "--ui-config": "json",
    "--mcp-servers-json": "json",
    "--listen": "address",
    "--lora-scaled": "scaled",
    "--control-vector-scaled": "scaled",
    **dict.fromkeys(("--color", "--flash-attn"), f"optional choice {_STATES[0]} auto = {_STATES[1]}"),
    "--numa": "optional choice distribute isolate numactl",
}  # fmt: skip  # several names to a line


def option_domains(source: Path, shim: Path) -> dict[str, str]:
    """Return the domain of each option that a llamafile has, with the engine's SOURCE and the folder SHIM.

    Raises:
        ValueError: the source has another form than expected.
    """
    engine = _engine_domains(source)
    return {**engine, **_flag_domains(engine, shim)}


def _engine_domains(source: Path) -> dict[str, str]:
    text = read_source(source / "common" / "arg.cpp")
    body = match_source(r"common_params_context common_params_parser_init\(.*?\n\}\n", text)[0]
    words = _engine_words(source, text)
    domains: dict[str, str] = {}
    for option in re.split(r"\badd_opt\(common_arg\(", body)[1:]:
        head = match_source(r"\s*\{([^{}]*)\},\s*(?:\{([^{}]*)\},)?", option)
        names = re.findall(r'"([^"]+)"', head[1] + (head[2] or ""))
        if _is_in_modes(option):
            known = [_KNOWN[name] for name in names if name in _KNOWN]
            domain = _domain(option[head.end() :], words)
            domains |= dict.fromkeys(names, known[0] if known and domain != "switch" else domain)
    return domains


def _is_in_modes(option: str) -> bool:
    """Return whether a llamafile has the option, given the text of its declaration."""
    examples, excludes = (
        set(re.findall(r"LLAMA_EXAMPLE_(\w+)", found[1])) if found else default
        for found, default in (
            (re.search(r"\.set_examples\(\{([^}]*)\}\)", option), {"COMMON"}),
            (re.search(r"\.set_excludes\(\{([^}]*)\}\)", option), set()),
        )
    )
    return any(mode not in excludes and examples & {mode, "COMMON"} for mode in _MODES)


def _engine_words(source: Path, arguments: str) -> dict[str, str]:
    """Return the domain of options whose function calls the one named by the key."""
    types = re.findall(r"GGML_TYPE_(\w+)", match_source(r"kv_cache_types = \{(.*?)\};", arguments)[1])
    chat = match_source(
        r"common_reasoning_format_from_name\(const std::string & \w+\) \{(.*?)\n\}",
        read_source(source / "common/chat.cpp"),
    )
    speculative = match_source(r"from_name_map = \{(.*?)\n\};", read_source(source / "common/speculative.cpp"))
    sampling = read_source(source / "common/sampling.cpp")
    canonical = re.findall(r'\{ "(\w+)",', match_source(r"canonical_name_map \{(.*?)\};", sampling)[1])
    aliases = [*re.findall(r'alias_name_map\.insert\(\{"(\w+)"', sampling)]
    aliases += [name.replace("_", other) for name in canonical if "_" in name for other in ("-", "")]
    letters = re.findall(r"return '(\w)';", match_source(r"char common_sampler_type_to_chr\(.*?\n\}", sampling)[0])
    return {
        "kv_cache_type_from_str": f"choice {' '.join(types).lower()}",
        "common_reasoning_format_from_name": "choice " + " ".join(re.findall(r'== "([^"]+)"', chat[1])),
        "common_speculative_types_from_names": "list , " + " ".join(re.findall(r'\{"([^"]+)"', speculative[1])),
        "common_sampler_types_from_names": f"list ; {' '.join(canonical)} = {' '.join(aliases)}",
        "common_sampler_types_from_chars": f"letters {''.join(letters)}",
    }


def _domain(option: str, words: Mapping[str, str]) -> str:
    """Return the domain of an option with the declaration OPTION, after its names."""
    function = match_source(r"\[\w*&?\]\(common_params &\s*\w*(?:\s*,\s*([^()]*))?\)\s*\{(.*)", option)
    values, body = function[1] or "", function[2]
    if not values or values.startswith("bool"):
        return "switch"
    if values.count(",") == 1:
        return f"two integer {_INT}"
    hint = re.search(r'"<(\d+)(?:\||\.\.\.)(\d+)>"', option)
    if hint:
        return f"integer {hint[1]} {hint[2]}"
    if values.startswith("int"):
        return _integers(body)
    found = [domain for name, domain in words.items() if f"{name}(" in body]
    return found[0] if found else _text_domain(body)


def _integers(body: str) -> str:
    """Return the domain of whole numbers that are not refused by the function BODY."""
    low, high = _INT.split()
    for condition in re.findall(r"if \(([^{]*)\) \{\s*throw", body):
        for end, limit in re.findall(r"\w+ ([<>]) (-?\w+)", condition):
            number = str(_CONSTANTS.get(limit, limit))
            low, high = (number, high) if end == "<" else (low, number)
    return f"integer {low} {high}"


def _text_domain(body: str) -> str:
    if "is_truthy(value)" in body:
        shown, hidden = _STATES
        is_auto = "is_autoy(value)" in body
        return f"choice {shown}{' auto' * is_auto} = {hidden}{' -1' * is_auto}"
    choices = re.findall(r'value == "([^"]+)"', body)
    if choices and re.search(r"else \{\s*throw", body):
        return "choice " + " ".join(choices)
    if re.search(r"= (?:1\.0f / )?std::stof\(value\);", body):
        return "number - -"
    if "json::parse(value)" in body:
        return "json"
    reads_a_file = re.search(r"ifstream|read_file\(", body)
    is_checked = re.search(r"\bthrow |std::sto\w+\(|parse_(?!csv_row)\w+\(", body)
    return "engine" if is_checked and not reads_a_file else "text"


def _flag_domains(engine: Mapping[str, str], shim: Path) -> dict[str, str]:
    """Return the domains of the shim's own options."""
    text = (shim / "options" / "flags.cpp").read_text(encoding="utf-8")
    entries = re.findall(r'^    \{\{([^}]+)\}, (\w+), (\w+), "([^"]*)", ', text, re.MULTILINE)
    if not entries:
        raise ValueError("flags.cpp has no list of flags")
    brands = match_source(r"BRANDS = \{(.*?)\n\};", (shim / "options" / "gpu_flags.cpp").read_text(encoding="utf-8"))[1]
    names = re.findall(r'\{"(\w+)", "(\w+)"\}', brands)
    shown, hidden = ([name for name, brand in names if (name == brand) == same] for same in (True, False))
    known = _KNOWN | {"--gpu": f"caseless {' '.join(shown)} = {' '.join(hidden)}"}
    domains: dict[str, str] = {}
    for spellings, count, _, target in entries:
        flags = re.findall(r'"([^"]+)"', spellings)
        found = [known[name] for name in flags if name in known]
        default = "switch" if count == "none" else engine.get(target or flags[0], "text")
        domains |= dict.fromkeys(flags, found[0] if found else default)
    return domains
