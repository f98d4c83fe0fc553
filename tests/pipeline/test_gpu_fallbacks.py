"""What GPUs and their drivers cannot break: whatever is missing, crashes, hangs or is damaged, a sentence says so."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from runtime.builder.gpu_part import gpu_member_names
from runtime.platforms import host_platform
from tests.builders.ape import in_private_mounts
from tests.builders.vulkan import GPU, WEAKER, failing_loader, old_linker
from tests.conftest import tool
from tests.pipeline.conftest import run
from tools.gpu_check.llamafile import Llamafile
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    host_platform().name != "linux-amd64", reason="needs linux-amd64, which has the program"
)

LINKER: Final = "/lib64/ld-linux-x86-64.so.2"
# A /dev that looks as if there was a GPU, or in which there is nothing.
DEVICES: Final = """
mkdir "$1/dev" "$1/dev/dri"
: >"$1/dev/dri/renderD128"
for name in null zero urandom; do : >"$1/dev/$name"; mount --bind "/dev/$name" "$1/dev/$name"; done
mount --rbind "$1/dev" /dev
shift
exec "$@"
"""
NO_DEVICES: Final = """
mkdir "$1/none"
: >"$1/none/null"
mount --bind /dev/null "$1/none/null"
mount --rbind "$1/none" /dev
shift
exec "$@"
"""


def generation(model: Path) -> list[str]:
    return ["-m", str(model), "-n", "4", "--temp", "0", "-p", "hello"]


def generate(product: Llamafile, model: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return product.run(*generation(model), *options)


def test_software_is_never_chosen_by_itself(product: Llamafile, model: Path, tmp_path: Path) -> None:
    result = in_private_mounts(
        DEVICES, tmp_path, *product.command(*generation(model), "-ngl", "99"), **product.variables
    )
    assert result.returncode == 0
    assert "none of the devices is a usable GPU: llvmpipe" in result.stderr
    refusal = in_private_mounts(DEVICES, tmp_path / "home", *product.command("--gpu", "amd"), **product.variables)
    assert refusal.returncode == 1
    assert "no such GPU that this program can use: none of the devices is a GPU of amd: llvmpipe" in refusal.stderr


@pytest.mark.needs_compiler
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("crash", r"a driver crashes \(11\)"),
        ("hang", "a driver gives no answer for 2 seconds"),
        ("no functions", r"no driver for Vulkan works \(error -3\)"),
    ],
)
def test_a_bad_driver_costs_a_line(product: Llamafile, model: Path, tmp_path: Path, failure: str, reason: str) -> None:
    """The CPU computes what it would have; a GPU that was named is missed."""
    variables = {"LD_LIBRARY_PATH": str(failing_loader(failure)), "LLAMAFILE_GPU_SECONDS": "2"}
    plain = generate(product, model)
    result = in_private_mounts(
        DEVICES, tmp_path, *product.command(*generation(model), "-ngl", "99"), **product.variables, **variables
    )
    assert (result.returncode, result.stdout) == (0, plain.stdout)
    expected = f"llamafile: '-ngl' has no effect: there is no GPU that this program can use: {reason};"
    assert re.match(expected + " the CPU computes everything\n$", result.stderr), result.stderr
    named = generate(Llamafile(product.path, product.variables | variables), model, "--gpu", "vulkan")
    assert (named.returncode, named.stdout) == (1, "")
    assert re.search(reason, named.stderr)


def test_no_driver_at_all(product: Llamafile, model: Path) -> None:
    without = Llamafile(product.path, {**product.variables, "VK_DRIVER_FILES": "/none", "VK_ICD_FILENAMES": "/none"})
    named = generate(without, model, "--gpu", "vulkan")
    assert named.returncode == 1
    assert re.search(r"no driver for Vulkan works \(error -9\)|the Vulkan loader knows no device", named.stderr)


def test_a_machine_without_devices(product: Llamafile, model: Path, tmp_path: Path) -> None:
    """Nothing is unpacked, nothing started; and a device that needs none computes."""
    command = product.command(*generation(model))
    result = in_private_mounts(NO_DEVICES, tmp_path, *command, "-ngl", "99", **product.variables)
    assert result.returncode == 0
    assert "there is no GPU that this program can use: /dev has no device of one; the CPU" in result.stderr
    computed = in_private_mounts(NO_DEVICES, tmp_path / "home", *command, *GPU, **product.variables)
    assert (computed.returncode, computed.stderr.startswith(WEAKER)) == (0, True), computed.stderr


@pytest.fixture
def static_program(program: Path, runtime: Path, product: Llamafile) -> Path:
    """The product as a native program: it needs no shell, which needs a dynamic linker."""
    path = product.path.with_name("native")
    path.write_bytes(runtime.read_bytes())
    path.chmod(0o755)
    subprocess.run([tool("assimilate"), "-q", path], check=True)
    return path


def test_a_system_without_glibc(product: Llamafile, static_program: Path, model: Path, tmp_path: Path) -> None:
    script = 'mkdir "$1/none"; mount --bind "$1/none" /lib64; shift; exec "$@"'
    command = [str(static_program), *generation(model)]
    result = in_private_mounts(script, tmp_path, *command, "--gpu", "vulkan", **product.variables)
    assert result.returncode == 1
    assert f"this system has no {LINKER}, the linker of glibc" in result.stderr


@pytest.mark.needs_compiler
def test_a_glibc_that_is_too_old(product: Llamafile, static_program: Path, model: Path) -> None:
    script = f'mount --bind "$1" "$(readlink -f {LINKER})"; shift; exec "$@"'
    command = [str(static_program), *generation(model)]
    result = in_private_mounts(script, old_linker(), *command, "--gpu", "vulkan", **product.variables)
    assert result.returncode == 1
    assert "does not run here: /proc/self/fd/4: /lib64/libc.so.6: version `GLIBC_2.28' not found" in result.stderr


@pytest.mark.needs_compiler
def test_a_lost_device_ends_the_program_with_a_sentence(product: Llamafile, model: Path) -> None:
    lost = {**product.variables, "LD_LIBRARY_PATH": str(failing_loader("device lost"))}
    result = generate(Llamafile(product.path, lost), model, *GPU, "-n", "200", "--ignore-eos")
    assert result.returncode == 1, result.stderr
    last = result.stderr.splitlines()[-1]
    assert re.match(
        r"llamafile: the GPU failed \(vk::.*ErrorDeviceLost\): start again, or let the CPU compute", last
    ), last


def test_memory_that_is_too_small(product: Llamafile, model: Path) -> None:
    result = generate(product, model, *GPU, "--fit-target", "2047")
    assert result.returncode == 0, result.stderr
    assert re.search(r"llamafile: the GPU computes \d of 3 layers, the CPU the others\n", result.stderr), result.stderr


@pytest.mark.parametrize("before", ["", 'mount -t tmpfs -o size=4m none "$TMPDIR"'], ids=["with room", "without room"])
def test_programs_in_memory_may_be_forbidden(product: Llamafile, tmp_path: Path, before: str) -> None:
    """By vm.memfd_noexec: then it is a file without a name, in a folder that has room, and nothing stays behind."""
    script = f"""
    [ -w /proc/sys/vm/memfd_noexec ] && echo 2 2>/dev/null >/proc/sys/vm/memfd_noexec || exit 77
    {before}
    exec "$@"
    """
    (folder := tmp_path / "temporary").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--pid", "--mount", "--fork", "sh", "-ec", script, "sh"]
    result = subprocess.run(
        [*command, *product.command("--gpu", "vulkan", "--version")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), **product.variables},
    )
    if result.returncode == 77 or "unshare:" in result.stderr:  # as the script exits
        pytest.skip("needs a kernel that forbids programs in memory (Linux 6.3)")
    assert "computes with Vulkan0: llvmpipe" in result.stdout, result.stderr
    assert list(folder.iterdir()) == []


def test_a_damaged_part_is_named(llamafile: Path, tmp_path: Path, shader_cache: Path) -> None:
    archive = read_archive(llamafile)
    entry = next(entry for entry in archive.entries if entry.name == "gpu/linux-amd64.zst")
    with llamafile.open("r+b") as file:
        file.seek(entry.data_offset + 100_000)
        file.write(bytes(64))
    result = run(llamafile, "--gpu", "vulkan", "--version")
    assert result.returncode == 1
    assert re.match(r"llamafile: the part for GPUs in .* is damaged: .*; fetch the file again\n$", result.stderr)


def test_a_part_of_another_version_is_not_used(llamafile: Path, shader_cache: Path) -> None:
    import zstandard

    shaders = zstandard.ZstdCompressor().compress(bytes(1000))
    add_files(llamafile, [Member("gpu/shaders.zst", shaders)])
    result = run(llamafile, "--gpu", "vulkan", "--version")
    assert (result.returncode, "gpu/shaders.zst belongs to another version" in result.stderr) == (1, True)


def test_a_file_without_the_part(llamafile: Path, model: Path, bare: dict[str, str], shader_cache: Path) -> None:
    names = gpu_member_names(entry.name for entry in read_archive(llamafile).entries)
    assert {"gpu/linux-amd64.zst", "gpu/shaders.zst", "gpu/NOTICES.txt"} <= set(names)
    remove_entries(llamafile, names)
    result = run(llamafile, "--gpu", "vulkan", "-m", str(model), "-p", "hello", env=bare)
    assert result.returncode == 1
    assert result.stderr.endswith("that this program can use: it was made without a part for GPUs\n")


@pytest.mark.parametrize("options", [(), ("-ngl", "0"), ("--gpu", "disable"), ("--gpu", "nvidia", "-ngl", "0")])
def test_nothing_is_looked_at_unless_it_is_asked_for(
    product: Llamafile, model: Path, tmp_path: Path, options: Sequence[str]
) -> None:
    log = tmp_path / "strace"
    command = [tool("strace"), "-f", "-qq", "-o", str(log), *product.command(*generation(model), *options)]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", **product.variables})
    calls = log.read_text()
    assert not re.search(r"memfd_create|/dev/dri|/dev/nvidia|libvulkan|ld-linux.*F_OK", calls)
