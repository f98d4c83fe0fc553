"""Regenerates the tables that repeat the engine's names and numbers, from its pinned source.

    python -m tools.engine_tables            rewrites the tables
    python -m tools.engine_tables --check    names the files with other tables, and exits with status 1

Each table lies in its file between two comments, `Table NAME: …` and `End of table NAME`. The source is searched
with regular expressions, so that no compiler is needed; an expression without a match is an error, not an empty table.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.engine import engine_source
from tools.engine_source import match_source, read_source
from tools.option_table import option_domains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["TABLES", "differing_files", "regenerate"]

_ROOT: Final = Path(__file__).parents[1]
_SHIM: Final = _ROOT / "runtime" / "shim"
_WIDTH: Final = 120

# Names in LLM_ARCH_NAMES that are no language model: projectors, and the end of the list.
_NO_ARCHITECTURES: Final = {"clip", "(unknown)"}
_C_SIZES: Final = {"float": 4, "double": 8, "ggml_fp16_t": 2, "ggml_bf16_t": 2, "ggml_half": 2} | {
    f"{sign}int{bits}_t": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_FIM_ROLES: Final = ("fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep")


def architectures(source: Path) -> list[str]:
    """Return the names of the architectures that the engine runs."""
    table = match_source(r"LLM_ARCH_NAMES = \{(.*?)\n\};", read_source(source / "src/llama-arch.cpp"))[1]
    names = re.findall(r'\{ LLM_ARCH_\w+, *"([^"]+)" *\}', table)
    return sorted(name for name in names if name not in _NO_ARCHITECTURES)


def tensor_types(source: Path) -> dict[int, tuple[str, int, int]]:
    """Return name, elements and bytes of a block of each tensor type, by its number."""
    enumeration = match_source(r"enum ggml_type \{(.*?)\n    \};", read_source(source / "ggml/include/ggml.h"))[1]
    numbers = {name: int(number) for name, number in re.findall(r"GGML_TYPE_(\w+) += (\d+)", enumeration)}
    layouts = read_source(source / "ggml/src/ggml-common.h")
    constants = {name: int(value) for name, value in re.findall(r"^#define (\w+) (\d+)\b", layouts, re.MULTILINE)}
    constants |= {
        name: _evaluate(value, constants)
        for name, value in re.findall(r"^#define (IQ3S_N_SCALE) (.+)$", layouts, re.MULTILINE)
    }
    sizes = dict(_C_SIZES)
    for name, expression in re.findall(r"static_assert\(sizeof\((block_\w+)\) == (.*?), \"", layouts):
        sizes[name] = _evaluate(expression, constants, sizes)
    traits = re.findall(
        r"\[GGML_TYPE_(\w+)\] = \{[^{}]*?\.blck_size += (\w+),\s*\.type_size += sizeof\((\w+)\)",
        read_source(source / "ggml/src/ggml.c"),
    )
    return {numbers[name]: (name, _evaluate(block, constants), sizes[layout]) for name, block, layout in sorted(traits)}


def file_types(source: Path) -> dict[int, str]:
    """Return the name of each quantization of a whole file, by its number."""
    enumeration = match_source(r"enum llama_ftype \{(.*?)\n    \};", read_source(source / "include/llama.h"))[1]
    found = re.findall(r"^ +LLAMA_FTYPE_(?:ALL|MOSTLY)_(\w+) += (\d+)", enumeration, re.MULTILINE)
    return {int(number): name for name, number in found}


def _evaluate(expression: str, constants: Mapping[str, int], sizes: Mapping[str, int] | None = None) -> int:
    """Return the value of an expression of C: integers, constants, sizeof, and the operators + - * /."""
    text = re.sub(r"sizeof\((\w+)\)", lambda found: str((sizes or {})[found[1]]), expression)
    text = re.sub(r"[A-Za-z_]\w*", lambda found: str(constants[found[0]]), text)
    if not re.fullmatch(r"[\d\s()+*/-]+", text):
        raise ValueError(f"the engine's source has the size {expression!r}")
    return int(eval(text.replace("/", "//"), {"__builtins__": {}}))  # noqa: S307  # digits and operators only


def _token_texts(source: Path, assignment: str) -> list[str]:
    """Return the texts in the condition before ASSIGNMENT in the engine's vocabulary loader."""
    text = (source / "src" / "llama-vocab.cpp").read_text(encoding="utf-8")
    condition = match_source(rf"if \(false((?:(?!if \(false).)*?)\) \{{\s*{re.escape(assignment)}", text)[1]
    return re.findall(r't\.first == "([^"]+)"', condition)


def _wrapped(words: Iterable[str], indent: int) -> str:
    prefix = " " * indent
    return textwrap.fill(
        " ".join(words), _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip  # one line would be too long by a word


def _render_architectures(source: Path) -> str:
    names = _wrapped((f'"{name}",' for name in architectures(source)), 8)
    return f"ARCHITECTURES: Final = frozenset(\n    {{\n{names}\n    }}\n)  # fmt: skip  # as many to a line as fit"


def _render_tensor_types(source: Path) -> str:
    rows = (
        f'    {number}: TensorType("{name}", {elements}, {size}),'
        for number, (name, elements, size) in sorted(tensor_types(source).items())
    )
    return "\n".join(["TENSOR_TYPES: Final = {", *rows, "}"])


def _render_file_types(source: Path) -> str:
    rows = (f'    {number}: "{name}",' for number, name in sorted(file_types(source).items()))
    return "\n".join(["FILE_TYPES: Final = {", *rows, "}"])


def _render_domains(domains: Mapping[str, str]) -> str:
    """Return a line of names for each domain, continued in indented lines."""
    names: dict[str, list[str]] = {}
    for name, domain in sorted(domains.items()):
        names.setdefault(domain, []).append(name)
    return "\n".join(
        textwrap.fill(
            f"{domain}: {' '.join(names[domain])}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False,
            break_long_words=False,
        )
        for domain in sorted(names)
    )  # fmt: skip  # the arguments of fill() fit on two lines


def _render_options(source: Path) -> str:
    return f'_TABLE: Final = """\n{_render_domains(option_domains(source, _SHIM))}\n"""'


def _render_checked_options(source: Path) -> str:
    domains = option_domains(source, _SHIM)
    checked = {name: domain for name, domain in domains.items() if domain not in {"switch", "text"}}
    return f'constexpr char TABLE[] = R"(\n{_render_domains(checked)}\n)";'


def _render_token_texts(source: Path) -> str:
    ends = _wrapped((f"{text!a}," for text in _token_texts(source, "special_eog_ids.insert(t.second)")), 4)
    roles = []
    for role in _FIM_ROLES:
        texts = _wrapped((f"{text!a}," for text in _token_texts(source, f"special_{role}_id = t.second")), 8)
        roles.append(f'    "{role}": (\n{texts}\n    ),')
    skip = "  # fmt: skip  # as many to a line as fit"
    ends = f"_EOG_TEXTS: Final = (\n{ends}\n){skip}"
    return "\n".join([ends, "_FIM_TEXTS: Final = {", *roles, f"}}{skip}"]).replace("'", '"')


# The name of each table, with its file and the function that renders it.
TABLES: Final[dict[str, tuple[str, Callable[[Path], str]]]] = {
    "architectures": ("runtime/gguf/architectures.py", _render_architectures),
    "tensor types": ("runtime/gguf/tensor_types.py", _render_tensor_types),
    "file types": ("runtime/gguf/file_types.py", _render_file_types),
    "options": ("runtime/options.py", _render_options),
    "checked options": ("runtime/shim/options/domain_table.cpp", _render_checked_options),
    "token texts": ("runtime/portable/vocabulary.py", _render_token_texts),
}


def regenerate(name: str, text: str, source: Path) -> str:
    """Return TEXT, the content of the file of the table NAME, with that table as SOURCE has it."""
    found = match_source(rf"((?:#|//) Table {name}: [^\n]+\n)(.*?)(?:#|//) End of table {name}\n", text)
    return f"{text[: found.start(2)]}{TABLES[name][1](source)}\n{text[found.end(2) :]}"


def differing_files(source: Path, root: Path = _ROOT) -> dict[str, str]:
    """Return the files under ROOT that have other tables than SOURCE, each with the text that it should have."""
    differing = {}
    for name, (file, _) in TABLES.items():
        text = (root / file).read_text(encoding="utf-8")
        expected = regenerate(name, text, source)
        if expected != text:
            differing[file] = expected
    return differing


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.engine_tables", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a table differs")
    is_check = parser.parse_args().check
    differing = differing_files(engine_source())
    for file, text in differing.items():
        sys.stdout.write(f"{file}: {'differs from the engine' if is_check else 'rewritten'}\n")
        if not is_check:
            (_ROOT / file).write_text(text, encoding="utf-8")
    return int(is_check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
