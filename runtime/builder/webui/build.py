"""The web page of the server: the engine's own, built from its sources with npm.

What is executed is Node, npm, and packages whose hashes are in the engine's lock file; their install scripts are not
run. The result does not depend on where, when and by which Node it is built.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Final

from runtime.builder.artifacts import ENGINE_SDIST
from runtime.builder.cache import cache_root, cached, digest_of
from runtime.builder.engine import engine_source
from runtime.builder.patches import Patch, apply_patches, patches_key
from runtime.builder.webui.node import find_node
from runtime.builder.webui.notices import collect_page_notices
from runtime.errors import PagesError
from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.builder.compilation import Progress

__all__ = ["FOLDER_NAME", "NOTICES_NAME", "Pages", "build_pages", "page_members", "pages_key"]

# Beside a program, and in the archive.
FOLDER_NAME: Final = "pages"
# In that folder, so that a server of the page also serves the licences of its parts.
NOTICES_NAME: Final = "NOTICES.txt"

_CONFIGURATION: Final = Path(__file__).with_name("vite.config.mjs")
_CONFIGURATION_NAME: Final = "vite.llamafile.config.mjs"
_NOTICES: Final = Path(__file__).with_name("notices.py")

_PATCHES: Final = (
    Patch(
        file="svelte.config.js",
        anchor="router: { type: 'hash' }",
        replacement=f"router: {{ type: 'hash' }}, version: {{ name: '{ENGINE_SDIST.version}' }}",
        reason="the name of a version is the time of its build, unless there is one",
    ),
    *(
        Patch(
            f"src/lib/{file}", gif, f"{bmp} {gif}", "the engine decodes BMP as it does GIF; the page took it for text"
        )
        for file, gif, bmp in (
            ("enums/files.enums.ts", "GIF = 'gif',", "BMP = 'bmp',"),
            ("enums/files.enums.ts", "GIF = '.gif',", "BMP = '.bmp',"),
            ("enums/files.enums.ts", "GIF = 'image/gif',", "BMP = 'image/bmp',"),
            (
                "constants/supported-file-types.constants.ts",
                "[FileTypeImage.GIF]: {",
                "[FileTypeImage.BMP]: { extensions: [FileExtensionImage.BMP], mimeTypes: [MimeTypeImage.BMP] },",
            ),
            ("constants/read-media.ts", "gif: MimeTypeImage.GIF,", "bmp: MimeTypeImage.BMP,"),
            ("constants/mcp-resource.constants.ts", "[MimeTypeImage.GIF]: 'gif',", "[MimeTypeImage.BMP]: 'bmp',"),
            ("utils/file-type.ts", "case MimeTypeImage.GIF:", "case MimeTypeImage.BMP:"),
            ("utils/file-type.ts", "case FileExtensionImage.GIF:", "case FileExtensionImage.BMP:"),
        )
    ),
    Patch(
        file="src/lib/constants/mcp-resource.constants.ts",
        anchor="|gif|",
        replacement="|bmp|gif|",
        reason="the same, in a list of another form",
    ),
)

# Packages are kept in the cache, under their hashes; the limits are in milliseconds.
_FETCH: Final = (
    "--prefer-offline", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=120000"
)  # fmt: skip  # a list
_TIME_LIMIT: Final = 1800  # seconds for one step
# Where no registry answers, one package tells it in seconds; `npm ci` would try a thousand of them again and again.
_REACH: Final = ("cache", "add", *_FETCH)
_INSTALL: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", *_FETCH)
_STEPS: Final = 4
_STOP_DELAY: Final = 0.5  # seconds after which a command that is to stop is ended at the latest


@dataclass(frozen=True, slots=True)
class Pages:
    """The page's files, and the licences of those whose work they hold."""

    key: str
    folder: Path

    @property
    def site(self) -> Path:
        """The folder that a server shows at `/`."""
        return self.folder / FOLDER_NAME


def pages_key() -> str:
    """Return the cache key of the page: it changes with everything that its bytes depend on."""
    return digest_of([ENGINE_SDIST.sha256, patches_key(_PATCHES), _CONFIGURATION, _NOTICES, NOTICES_NAME])


def build_pages(progress: Progress | None = None, stop: Event | None = None) -> Pages:
    """Return the page, built if the cache does not hold it.

    PROGRESS is told the steps done and the steps of all. The build fails soon after STOP is set.

    Raises:
        PagesError: there is no Node, the packages cannot be fetched, or the build says no.
        AnchorError: the sources are not the ones that this module is made for.
        CacheError: the cache cannot be written.
    """
    key = pages_key()

    def fill(folder: Path) -> None:
        work = folder / "work"
        try:
            _build(work, folder, progress or _ignore, stop or Event())
        finally:
            shutil.rmtree(work, ignore_errors=True)

    return Pages(key, cached("pages", key, fill))


def page_members(program: Path) -> list[Member]:
    """Return what goes into the archive of PROGRAM for its page: the files that lie beside it, if there are any."""
    folder = program.with_name(FOLDER_NAME)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return [Member(path.relative_to(folder.parent).as_posix(), path) for path in files]


def _build(work: Path, target: Path, progress: Progress, stop: Event) -> None:
    sources, home, modules = work / "ui", work / "home", work / "modules.json"
    shutil.copytree(engine_source() / "tools" / "ui", sources)
    shutil.copyfile(_CONFIGURATION, sources / _CONFIGURATION_NAME)
    apply_patches(sources, _PATCHES)
    home.mkdir()
    node = find_node()
    environment = node.environment(home) | {
        "LLAMAFILE_PAGES_MODULES": str(modules),
        "LLAMA_BUILD_NUMBER": ENGINE_SDIST.version,
        "LLAMA_UI_OUT_DIR": str(target / FOLDER_NAME),
    }
    # The same commands as in the engine's package.json, with our configuration around its own.
    bundler = [str(node.program), "node_modules/vite/bin/vite.js", "build", "--config", _CONFIGURATION_NAME]
    kept = ("--cache", str(cache_root() / "npm"))
    commands = (
        ("npm cannot fetch the packages", [*node.npm, *_REACH, *kept, _first_package(sources)]),
        ("npm cannot fetch the packages", [*node.npm, *_INSTALL, *kept]),
        ("its icons cannot be made", [*node.npm, "run", "build-pwa-assets"]),
        ("its sources cannot be bundled", bundler),
    )
    for step, (problem, command) in enumerate(commands, 1):
        _run(command, sources, environment, problem, stop)
        progress(step, _STEPS)
    site = target / FOLDER_NAME
    if not (site / "index.html").is_file():
        raise PagesError("the build made no index.html")
    (site / NOTICES_NAME).write_text(collect_page_notices(sources, modules, site), encoding="utf-8")


def _first_package(sources: Path) -> str:
    packages = json.loads((sources / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return f"vite@{packages['node_modules/vite']['version']}"


def _run(command: Sequence[str], folder: Path, environment: dict[str, str], problem: str, stop: Event) -> None:
    deadline = monotonic() + _TIME_LIMIT
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace",
    ) as process:  # fmt: skip  # one line each would be ten
        while True:
            try:
                said, errors = process.communicate(timeout=_STOP_DELAY)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set() or monotonic() > deadline:
                    process.kill()
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0 and monotonic() > deadline:
        raise PagesError(f"{problem}: it takes more than {_TIME_LIMIT // 60} minutes")
    if process.returncode != 0:
        raise PagesError(f"{problem}: {_reason(errors or said)}")


def _reason(said: str) -> str:
    """Return the line that says most: npm's own come first the code, then what it means, then where the log is."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("npm error").strip() for line in lines if line.startswith("npm error")]
    errors = [line for line in errors if line and not line.startswith(("code ", "errno ", "syscall "))]
    return (errors or lines[-1:] or ["it did not say why"])[0]


def _ignore(_done: int, _total: int) -> None:
    pass
