"""GPUs through Vulkan, on Mesa's software device: what they compute, in which sandbox, and what they cannot break."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from runtime.builder.cache import cache_root
from runtime.builder.gpu_part import gpu_member_names
from runtime.platforms import host_platform
from tests.builders.ape import in_private_mounts
from tests.builders.hosts import windows_command
from tests.builders.vulkan import failing_loader, old_linker, require_software_device
from tests.conftest import tool
from tests.pipeline.conftest import run
from tools.gpu_check.checks import cosine
from tools.gpu_check.llamafile import Llamafile
from tools.gpu_check.model import RandomModel
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    host_platform().name != "linux-amd64", reason="needs linux-amd64, which has the program"
)

MODEL: Final = RandomModel(
    embedding=256, feed_forward=768, layers=2, heads=8, heads_of_keys=4, vocabulary=512, context=512
)
TYPES: Final = ("F32", "F16", "Q8_0", "Q4_0", "Q4_K_S", "Q6_K")
PROMPT: Final = "The quick brown fox jumps over the lazy dog. The quick brown fox"
GPU: Final = ("--gpu", "vulkan", "-ngl", "99")
COSINE_MIN: Final = 0.9999
WEAKER: Final = "llamafile: the sandbox is weaker with a GPU: the driver of the GPU may "
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


@pytest.fixture(scope="session")
def shader_cache() -> Path:
    """What the driver compiles for one test is there for all others, which takes it a minute."""
    require_software_device()
    folder = cache_root() / "test-shaders"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def product(runtime: Path, tmp_path: Path, shader_cache: Path) -> Llamafile:
    """The product without weights, with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    path = tmp_path / "x.llamafile"
    path.symlink_to(runtime)
    return Llamafile(path, {"HOME": str(home), "XDG_CACHE_HOME": str(shader_cache)})


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model with 16-bit weights."""
    path = tmp_path_factory.mktemp("random") / "random-F16.gguf"
    MODEL.write(path)
    return path


def quantized(product: Llamafile, source: Path, kind: str, folder: Path) -> Path:
    target = folder / f"{source.stem}-{kind}.gguf"
    options = ["--allow-requantize", "--pure"]
    result = product.run(*options, source, target, kind, name="llamafile-quantize")
    assert result.returncode == 0, result.stderr
    return target


def log_probabilities(product: Llamafile, model: Path, *options: str) -> list[float]:
    with product.serving("-m", model, "-c", "512", *options) as server:
        return server.log_probabilities(PROMPT, MODEL.vocabulary)


@pytest.mark.parametrize("kind", TYPES)
def test_logits_are_those_of_the_weights(product: Llamafile, model: Path, tmp_path: Path, kind: str) -> None:
    """Against the CPU with the same weights as 32-bit floats: with others it rounds what it multiplies by."""
    given = quantized(product, model, kind, tmp_path)
    exact = given if kind == "F32" else quantized(product, given, "F32", tmp_path)
    reference = log_probabilities(product, exact, "-ngl", "0")
    assert cosine(reference, log_probabilities(product, given, *GPU)) >= COSINE_MIN


def test_half_of_the_layers(product: Llamafile, model: Path, tmp_path: Path) -> None:
    reference = log_probabilities(product, quantized(product, model, "F32", tmp_path), "-ngl", "0")
    assert cosine(reference, log_probabilities(product, model, "--gpu", "vulkan", "-ngl", "1")) >= COSINE_MIN


def test_two_devices_share_the_layers(product: Llamafile, model: Path, tmp_path: Path) -> None:
    """The one that there is, twice."""
    twice = Llamafile(product.path, {**product.variables, "LLAMAFILE_GPUS": "0,0"})
    version = twice.run("--gpu", "vulkan", "--version")
    assert re.findall(r"computes with (Vulkan\d): ", version.stdout) == ["Vulkan0", "Vulkan1"]
    reference = log_probabilities(product, quantized(product, model, "F32", tmp_path), "-ngl", "0")
    for options in ((), ("--tensor-split", "3,1"), ("--split-mode", "none", "--main-gpu", "1")):
        assert cosine(reference, log_probabilities(twice, model, *GPU, *options)) >= COSINE_MIN, options


def test_a_server_with_four_clients(product: Llamafile, model: Path) -> None:
    with product.serving("-m", model, *GPU, "-np", "4", "-c", "1024") as server, ThreadPoolExecutor(4) as pool:
        wanted = {"prompt": PROMPT, "n_predict": 8, "temperature": 0, "ignore_eos": True}
        jobs = [pool.submit(lambda: server.complete(**wanted)) for _ in range(4)]
        assert [job.result()["tokens_predicted"] for job in jobs] == [8] * 4


def test_the_sandbox_costs_nothing_but_a_line(product: Llamafile, model: Path, tmp_path: Path) -> None:
    """What is refused inside is what the driver does without: the name of the user."""
    arguments = ("-m", model, *GPU, "-n", "8", "--temp", "0", "-p", PROMPT)
    free = product.run(*arguments, "--unsecure")
    log = tmp_path / "strace"
    traced = [tool("strace"), "-f", "-qq", "-e", "trace=!futex", "-o", str(log), *product.command(*arguments)]
    inside = subprocess.run(
        traced, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **product.variables}
    )
    assert (free.returncode, free.stderr) == (0, "")
    assert (inside.returncode, inside.stdout) == (0, free.stdout), inside.stderr
    assert inside.stderr.startswith(WEAKER)
    assert inside.stderr.count("\n") == 1
    refused = re.findall(r"^\d+ +(.*) = -1 (?:EPERM|EACCES)", log.read_text(), re.MULTILINE)
    needless = ("/etc/", "AF_UNIX", "setpriority")  # the latter for threads that compile
    assert all(any(part in call for part in needless) for call in refused), refused


def test_tools_and_other_modes(product: Llamafile, model: Path) -> None:
    bench = product.run("-m", model, "-p", "8", "-n", "4", "-r", "1", "-o", "json", *GPU, name="llamafile-bench")
    rows = json.loads(bench.stdout)
    assert [row["backends"] for row in rows] == ["Vulkan"] * 2
    with product.serving("-m", model, *GPU, "--embeddings", "--pooling", "mean") as server:
        assert server.get("/health") == {"status": "ok"}
        assert "computing with Vulkan0: llvmpipe" in server.log.read_text()


def test_what_is_there_is_listed(product: Llamafile) -> None:
    text = product.run("--gpu-info").stdout
    assert re.search(r"^device 0: llvmpipe .*\n  brand:    unknown\n  type:     software$", text, re.MULTILINE)
    assert "used with --gpu vulkan only" in text
    facts = json.loads(product.run("--gpu-info-json").stdout)
    assert [(device["type"], device["used"], device["defect"]) for device in facts["devices"]] == [
        ("software", False, "")
    ]


def generate(product: Llamafile, model: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return product.run("-m", model, "-n", "4", "--temp", "0", "-p", "hello", *options)


def test_software_is_never_chosen_by_itself(product: Llamafile, model: Path, tmp_path: Path) -> None:
    result = in_private_mounts(
        DEVICES, tmp_path, *product.command(*generation(model), "-ngl", "99"), **product.variables
    )
    assert result.returncode == 0
    assert "none of the devices is a usable GPU: llvmpipe" in result.stderr
    refusal = in_private_mounts(DEVICES, tmp_path / "home", *product.command("--gpu", "amd"), **product.variables)
    assert refusal.returncode == 1
    assert "no such GPU that this program can use: none of the devices is a GPU of amd: llvmpipe" in refusal.stderr


def generation(model: Path) -> list[str]:
    return ["-m", str(model), "-n", "4", "--temp", "0", "-p", "hello"]


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


LINKER: Final = "/lib64/ld-linux-x86-64.so.2"


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


def test_programs_in_memory_may_be_forbidden(product: Llamafile, tmp_path: Path) -> None:
    """By vm.memfd_noexec: then it is a file without a name, and nothing stays behind."""
    script = """
    [ -w /proc/sys/vm/memfd_noexec ] && echo 2 2>/dev/null >/proc/sys/vm/memfd_noexec || exit 77
    exec "$@"
    """
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "sh", "-c", script, "sh"]
    result = subprocess.run(
        [*command, *product.command("--gpu", "vulkan", "--version")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), **product.variables},
    )
    if result.returncode in (1, 77) and not result.stdout:
        pytest.skip("needs a kernel that forbids programs in memory (Linux 6.3)")
    assert "computes with Vulkan0: llvmpipe" in result.stdout, result.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "x.llamafile"}


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


def test_a_file_without_the_part(llamafile: Path, model: Path, bare: dict[str, str]) -> None:
    names = gpu_member_names(entry.name for entry in read_archive(llamafile).entries)
    assert names == ["gpu/linux-amd64.zst", "gpu/shaders.zst"]
    remove_entries(llamafile, names)
    result = run(llamafile, "--gpu", "vulkan", "-m", str(model), "-p", "hello", env=bare)
    assert result.returncode == 1
    assert result.stderr.endswith("that this program can use: it was made without a part for GPUs\n")


@pytest.fixture
def display() -> Iterator[str]:
    """A screen for Wine, whose Vulkan needs one."""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [tool("Xvfb"), "-displayfd", str(writer)], pass_fds=[writer], stderr=subprocess.DEVNULL
    ) as server:
        os.close(writer)
        with os.fdopen(reader) as number:
            yield f":{number.readline().strip()}"
        server.terminate()


def test_windows_uses_the_same_shaders(
    runtime: Path, model: Path, tmp_path: Path, shader_cache: Path, display: str
) -> None:
    """By Wine's vulkan-1.dll, which passes everything on to the loader of Linux."""
    program = tmp_path / "x.exe"
    program.symlink_to(runtime)
    shutil.copyfile(model, tmp_path / "model.gguf")

    def run_there(*arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = windows_command(program, *arguments)
        variables = {"DISPLAY": display, "XDG_CACHE_HOME": str(shader_cache)}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment | variables, cwd=tmp_path, timeout=300
        )

    assert "computes with Vulkan0: llvmpipe" in run_there("--gpu", "vulkan", "--version").stdout
    generation = ["-m", "model.gguf", "--unsecure", "-n", "8", "--temp", "0", "-p", PROMPT]
    result = run_there(*generation, *GPU)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(PROMPT)


@pytest.mark.parametrize("options", [(), ("-ngl", "0"), ("--gpu", "disable"), ("--gpu", "nvidia", "-ngl", "0")])
def test_nothing_is_looked_at_unless_it_is_asked_for(
    product: Llamafile, model: Path, tmp_path: Path, options: Sequence[str]
) -> None:
    log = tmp_path / "strace"
    command = [tool("strace"), "-f", "-qq", "-o", str(log), *product.command(*generation(model), *options)]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", **product.variables})
    calls = log.read_text()
    assert not re.search(r"memfd_create|/dev/dri|/dev/nvidia|libvulkan|ld-linux.*F_OK", calls)


def test_the_program_needs_an_old_glibc_and_nothing_else(runtime: Path, tmp_path: Path) -> None:
    import zstandard

    archive = read_archive(runtime)
    entry = next(entry for entry in archive.entries if entry.name == "gpu/linux-amd64.zst")
    with runtime.open("rb") as file:
        file.seek(entry.data_offset)
        content = zstandard.ZstdDecompressor().decompress(file.read(entry.compressed_size))
    second = tmp_path / "second"
    second.write_bytes(content)
    output = subprocess.run([tool("readelf"), "-dV", second], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(\S+)\]", output))
    assert needed <= {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"}
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+\.\d+)", output)]
    assert max(versions) <= (2, 28)
