"""The edits that the engine's source needs beyond what compiler flags can do: few, small, and anchored.

An edit names a piece of a line that must stand in the file exactly once. Another version of the engine, where it does
not, stops the build instead of building something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EDITS", "Edit", "apply_edits"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file of the engine."""

    file: str
    anchor: str
    replacement: str
    reason: str


EDITS: Final = (
    Edit(
        file="tools/server/server.cpp",
        anchor='uses_default_port |= string_ends_with(address, ":8080");',
        replacement="",
        reason="8080 is llamafile's port for good; the engine announces at every start that its own will change",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="static_cast<int>(utf8.buf.size()) == argc",
        replacement="false",
        reason="on Windows the engine would take the process's own arguments for ours, which have .args among them",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="common_params_apply_system_config(params, ctx_arg.ex);",
        replacement="if (!llamafile_sealed()) { common_params_apply_system_config(params, ctx_arg.ex); }",
        reason="a packed file answers the same on every machine: "
        "what is configured there counts only if it is asked for",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="static std::string read_file(const std::string & fname) {",
        replacement="static std::string read_file(const std::string & fname) {\n"
        "    std::string member;\n"
        "    if (llamafile_read_text(fname, member)) { return member; }",
        reason="grammars, templates and schemas may be members of the archive",
    ),
    Edit(
        file="tools/cli/cli-server.h",
        anchor="port = common_http_get_free_port();",
        replacement="port = params.port;",
        reason="the terminal chat has the server beside it that everybody else can use too, where they expect it",
    ),
    Edit(
        file="tools/mtmd/clip.cpp",
        anchor="open_ifstream_binary(fname)",
        replacement="open_ifstream_binary(llamafile_disk_file(fname))",
        reason="a projector's metadata is read through ggml_fopen, its tensors by name and offset",
    ),
    Edit(
        file="tools/server/server-context.cpp",
        anchor="task.params.oaicompat_model   = meta->model_name;",
        replacement="task.params.oaicompat_model = "
        'llamafile_model_name(meta->model_name, json_value(data, "model", std::string()));',
        reason="clients that check the model's name expect the one they sent, as llamafile answers",
    ),
    Edit(
        file="tools/server/server.cpp",
        anchor='SRV_INF("listening on %s\\n", address.c_str());',
        replacement="llamafile_listening(address);",
        reason="a browser is shown where the server is",
    ),
    Edit(
        file="tools/server/server.cpp",
        anchor="// this call blocks the main thread until queue_tasks.terminate() is called",
        replacement="llamafile_serving();",
        reason="from here on the server needs no files and no connections of its own",
    ),
)


def apply_edits(source: Path, edits: tuple[Edit, ...] = EDITS) -> None:
    """Make EDITS in the engine's SOURCE tree.

    Raises:
        AnchorError: an anchor does not stand in its file exactly once; files before it are already edited.
    """
    for edit in edits:
        file = source / edit.file
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found = text.count(edit.anchor)
        if found != 1:
            raise AnchorError(edit.file, edit.anchor, found)
        file.write_text(text.replace(edit.anchor, edit.replacement), encoding="utf-8")
