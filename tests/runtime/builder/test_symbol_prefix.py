"""The index of a static library, in both forms, and the header made of it."""

from __future__ import annotations

import struct

import pytest

from runtime.builder.symbol_prefix import header_of, identifiers_of, symbols_of

NAMES = ["ggml_one", "ggml_two", "_ZN4ggml3cpu1fEv"]


def archive(name: bytes, content: bytes) -> bytes:
    header = name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"0".ljust(8)
    return b"!<arch>\n" + header + str(len(content)).encode().ljust(10) + b"`\n" + content


def gnu(names: list[str]) -> bytes:
    texts = b"".join(name.encode() + b"\0" for name in names)
    return archive(b"/", struct.pack(f">{1 + len(names)}I", len(names), *[0] * len(names)) + texts)


def macos(names: list[str]) -> bytes:
    texts = b"".join(b"_" + name.encode() + b"\0" for name in names)
    table = struct.pack(f"<{1 + 2 * len(names)}I", 8 * len(names), *[0] * (2 * len(names)))
    return archive(b"#1/12", b"__.SYMDEF\0\0\0" + table + struct.pack("<I", len(texts)) + texts)


@pytest.mark.parametrize("form", [gnu, macos])
def test_both_forms_of_the_index_give_the_same_names(form: object) -> None:
    assert callable(form)
    assert symbols_of(form([*NAMES, NAMES[0]])) == sorted(NAMES)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a static library"),
        (b"\x7fELF" + bytes(100), "not a static library"),
        (archive(b"first.o/", b"\x7fELF"), "no index"),
        (archive(b"#1/12", b"first.o\0\0\0\0\0"), "no index"),
    ],
)
def test_other_files_are_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        symbols_of(content)


@pytest.mark.parametrize(
    ("symbol", "identifier"),
    [
        ("ggml_compute_forward", "ggml_compute_forward"),
        ("_ZN4ggml3cpu13tensor_traitsD2Ev", "ggml"),
        ("_ZTVN4ggml3cpu6repack13tensor_traitsE", "ggml"),
        ("_ZGVZN4ggml3cpu1fEvE1x", None),
        ("_Z35ggml_backend_cpu_repack_buffer_typev", "ggml_backend_cpu_repack_buffer_type"),
        ("_Z17tiled_repack_src0ILi16EEvP16tiled_tile_src0iiib", "tiled_repack_src0"),
        ("_ZN31ggml_backend_cpu_device_contextC2Ev", "ggml_backend_cpu_device_context"),
        ("_ZNSt3__16vectorIiNS_9allocatorIiEEED2Ev", None),
        ("_ZNSt12length_errorC1Ev", None),
        ("__clang_call_terminate", None),
        (".refptr.stderr", None),
    ],
)
def test_what_sources_call_a_symbol(symbol: str, identifier: str | None) -> None:
    assert identifiers_of([symbol]) == ([identifier] if identifier else [])


def test_the_header_gives_each_name_a_prefix() -> None:
    assert header_of(["a", "b"], "new") == "#define a new_a\n#define b new_b\n"
