"""Images of small llamafiles: their documents, their files, and what stays the same."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from apepack.oci.descriptor import digest_of
from apepack.packing.lint import LintError
from assimilate.conversion import assimilate
from assimilate.plan import Options
from runtime.args import parse_arguments
from runtime.platforms import platform_named
from tests.apepack.oci.images import Layout, image, names_in, packed, read_layout
from tests.apepack.oci.specification import OCIImageIndex, OCIImageManifest, OCIManifestConfig
from tests.apepack.provenance.test_signature import sign_with_new_key
from tests.apepack.upgrade.llamafiles import content, model, runtime, upgraded
from zipalign import Member, add_files, check_archive, read_archive

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "usr/bin/llamafile"
FILES = "usr/bin/llamafile.llamafile"


def digests(layout: Layout, platform: str = "amd64") -> list[str]:
    return [layer["digest"] for layer in layout.platform(platform)["layers"]]


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_what_is_in_it(llamafile: Path, tmp_path: Path, name: str) -> None:
    made = image(llamafile, tmp_path / name, tag="me/cat:7")
    layout = read_layout(tmp_path / name)

    files = layout.files("amd64")
    assert sorted(files) == ["models/tiny.gguf", PROGRAM, FILES]
    assert files["models/tiny.gguf"] == model(tmp_path).read_bytes()
    assert files[PROGRAM] != layout.files("arm64")[PROGRAM]
    (tmp_path / "files.zip").write_bytes(files[FILES])
    assert check_archive(tmp_path / "files.zip").ok
    names = {entry.name for entry in read_archive(tmp_path / "files.zip").entries}
    assert names == {"g.gbnf", "manifest.json", ".args"}
    assert parse_arguments(content(tmp_path / "files.zip", ".args")) == list(made.arguments)
    assert content(tmp_path / "files.zip", "g.gbnf") == (tmp_path / "g.gbnf").read_bytes()
    assert digest_of(layout.blobs[made.digest]) == made.digest
    assert [layer.digest for layer in made.layers if layer.platform in {"", "linux/amd64"}] == digests(layout)


def test_documents_follow_the_specification(llamafile: Path, tmp_path: Path) -> None:
    image(llamafile, tmp_path / "out", tag="me/cat:7")
    layout = read_layout(tmp_path / "out")

    OCIImageIndex.model_validate(layout.index)
    (entry,) = layout.index["manifests"]
    assert entry["annotations"] == {
        "org.opencontainers.image.ref.name": "7",
        "io.containerd.image.name": "docker.io/me/cat:7",
    }
    OCIImageIndex.model_validate(layout.root())
    assert [item["platform"] for item in layout.root()["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    for architecture in ("amd64", "arm64"):
        manifest = layout.platform(architecture)
        OCIImageManifest.model_validate(manifest)
        config: dict[str, Any] = layout.json(manifest["config"])
        OCIManifestConfig.model_validate(config)
        assert config["rootfs"] == {"type": "layers", "diff_ids": digests(layout, architecture)}
        assert len(config["history"]) == 3
        assert config["architecture"] == architecture
        assert "created" not in config
        labels = config["config"].pop("Labels")
        assert labels == manifest["annotations"] == layout.root()["annotations"]
        assert config["config"] == {
            "User": "65532:65532",
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": ["/usr/bin/llamafile"],
            "WorkingDir": "/models",
            "StopSignal": "SIGTERM",
            "ExposedPorts": {"8080/tcp": {}},
        }


def test_owners_modes_and_times(llamafile: Path, tmp_path: Path) -> None:
    image(llamafile, tmp_path / "out")
    for digest in digests(read_layout(tmp_path / "out")):
        with tarfile.open(tmp_path / "out/blobs/sha256" / digest.removeprefix("sha256:")) as archive:
            for member in archive:
                assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
                assert member.mode & stat.S_IWOTH == 0 or member.issym()
                assert bool(member.mode & 0o001) == (member.isdir() or member.issym() or member.name == PROGRAM)


def test_the_program_runs_and_is_an_archive(llamafile: Path, tmp_path: Path) -> None:
    image(llamafile, tmp_path / "out")
    program = tmp_path / "program"
    program.write_bytes(read_layout(tmp_path / "out").files("amd64")[PROGRAM])
    program.chmod(0o755)

    assert subprocess.run([program], check=False).returncode == 5  # that of the small program
    names = {entry.name for entry in read_archive(program).entries}
    assert names == {"NOTICES", "pages/index.html", "gpu/shaders.zst"}
    assert check_archive(program).ok
    assert content(program, "pages/index.html") == content(llamafile, "pages/index.html")


def test_members_for_gpus_are_those_of_the_platform(llamafile: Path, tmp_path: Path) -> None:
    members = [Member(f"gpu/{name}.zst", name.encode() * 9) for name in ("linux-amd64", "linux-arm64", "windows-amd64")]
    add_files(llamafile, members, alignment=65536)

    image(llamafile, tmp_path / "out")
    image(llamafile, tmp_path / "without", gpu=False)

    for output, expected in [("out", {"gpu/shaders.zst", "gpu/linux-arm64.zst"}), ("without", set[str]())]:
        program = tmp_path / "program"
        program.write_bytes(read_layout(tmp_path / output).files("arm64")[PROGRAM])
        names = {entry.name for entry in read_archive(program).entries}
        assert {name for name in names if name.startswith("gpu/")} == expected


def test_a_new_engine_leaves_the_weights(llamafile: Path, tmp_path: Path) -> None:
    image(llamafile, tmp_path / "before", tag="x")
    before = read_layout(tmp_path / "before")

    upgraded(llamafile, runtime(tmp_path / "new", seed=2, page=40_000))
    image(llamafile, tmp_path / "after", tag="x")
    after = read_layout(tmp_path / "after")

    # What the weights' layers are called on a machine depends on those below them, too: there are none.
    assert digests(before)[0] == digests(after)[0] == digests(after, "arm64")[0]
    assert b"models/tiny.gguf\0" in before.blobs[digests(before)[0]][:4096]
    assert digests(before)[1] != digests(after)[1]
    assert before.root() != after.root()


def test_the_same_inputs_give_the_same_digest(llamafile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = image(llamafile, tmp_path / "one", tag="x")
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    old_umask = os.umask(0o077)
    try:
        (tmp_path / "elsewhere").mkdir()
        copied = tmp_path / "elsewhere" / llamafile.name
        shutil.copyfile(llamafile, copied)
        os.utime(copied, (1, 1))
        second = image(copied, tmp_path / "two.tar", tag="y")
    finally:
        os.umask(old_umask)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    dated = image(llamafile, tmp_path / "dated", tag="x")

    assert first.digest == second.digest
    assert dated.digest != first.digest
    layout = read_layout(tmp_path / "dated")
    config = layout.json(layout.platform("amd64")["config"])
    assert config["created"] == "1970-01-02T00:00:00Z"
    assert digests(layout)[0] == first.layers[0].digest


def test_a_file_that_became_a_program_gives_the_same_image(llamafile: Path, tmp_path: Path) -> None:
    before = image(llamafile, tmp_path / "before", tag="x")
    assimilate(llamafile, platform_named("linux-amd64"), Options())
    assert llamafile.read_bytes()[:4] == b"\x7fELF"

    assert image(llamafile, tmp_path / "after", tag="x").digest == before.digest


def test_a_signature_beside_the_file_changes_nothing(llamafile: Path, tmp_path: Path) -> None:
    before = image(llamafile, tmp_path / "before", tag="x")
    sign_with_new_key(llamafile)

    assert image(llamafile, tmp_path / "after", tag="x").digest == before.digest


def test_a_signature_inside_stays_with_the_manifest(llamafile: Path, tmp_path: Path) -> None:
    sign_with_new_key(llamafile, embed=True)
    image(llamafile, tmp_path / "out", tag="x")

    (tmp_path / "files.zip").write_bytes(read_layout(tmp_path / "out").files("amd64")[FILES])
    for name in ("manifest.json", "signature.json"):
        assert content(tmp_path / "files.zip", name) == content(llamafile, name)


def test_one_layer_for_each_file_of_weights(tmp_path: Path) -> None:
    path = runtime(tmp_path / "x.llamafile", page=10, gpu=10)
    shards = [f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    large = os.urandom(1 << 20)
    add_files(
        path,
        [
            *(Member(name, b"GGUF" + name.encode()) for name in shards),
            Member("mmproj.gguf", b"GGUFmmproj"),
            Member("sub/adapter.gguf", b"GGUFadapter"),
            Member("table.bin", large),
            Member("www/index.html", large),
            Member(".args", f"-m\n{shards[0]}\n--mmproj\nmmproj.gguf\n".encode()),
        ],
    )

    made = image(path, tmp_path / "out", platforms=("linux/arm64",))
    layout = read_layout(tmp_path / "out")

    names = [layer.plan.names[0] for layer in made.layers]
    weights = [*shards, "mmproj.gguf", "sub/adapter.gguf", "table.bin"]
    assert names == [*(f"models/{name}" for name in weights), PROGRAM, FILES]
    assert [entry["platform"]["architecture"] for entry in layout.root()["manifests"]] == ["arm64"]
    files = layout.files("arm64")
    assert files["models/sub/adapter.gguf"] == b"GGUFadapter"
    (tmp_path / "files.zip").write_bytes(files[FILES])
    assert {entry.name for entry in read_archive(tmp_path / "files.zip").entries} == {
        "www/index.html",
        "manifest.json",
        ".args",
    }


def test_a_large_file_with_holes_takes_no_space(tmp_path: Path) -> None:
    """Over 8 GiB, sizes need another field of the header."""
    path = runtime(tmp_path / "x.llamafile", page=10, gpu=10)
    weights = tmp_path / "m.gguf"
    weights.write_bytes(b"GGUF")
    os.truncate(weights, 9 << 30)
    add_files(path, [Member("m.gguf", weights)])

    made = image(path, tmp_path / "out.tar", platforms=("linux/amd64",))

    assert made.size > 9 << 30
    assert (tmp_path / "out.tar").stat().st_blocks * 512 < 16 << 20
    with tarfile.open(tmp_path / "out.tar") as archive:
        sizes = {member.name.rpartition("/")[2]: member.size for member in archive}
    assert sizes[made.layers[0].digest.removeprefix("sha256:")] == made.layers[0].plan.size > 9 << 30


def test_a_dry_run_writes_nothing(llamafile: Path, tmp_path: Path) -> None:
    before = names_in(tmp_path)

    made = image(llamafile, tmp_path / "out", dry_run=True)

    assert names_in(tmp_path) == before
    assert (made.digest, made.platforms, {layer.digest for layer in made.layers}) == ("", (), {""})
    assert [layer.plan.size for layer in made.layers] == [
        layer.plan.size for layer in image(llamafile, tmp_path / "out").layers
    ]


def test_strict_refuses_what_is_a_warning(tmp_path: Path) -> None:
    path = packed(tmp_path, arguments=["--host", "127.0.0.1"])

    assert len(image(path, tmp_path / "out").findings) == 1
    with pytest.raises(LintError, match="only the container itself reaches"):
        image(path, tmp_path / "strict", strict=True)
