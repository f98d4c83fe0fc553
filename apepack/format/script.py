"""The shell script of an APE: selects the program for the machine, and starts it, if necessary through a loader.

It runs in all POSIX shells, and in shells that are close to POSIX. Its constraints:

* Every path ends in exec or exit, because binary data follows the script.
* A start with a cached loader uses only built-in commands of the shell, because a fork takes longer than all other
  steps together. The exception is uname on Linux before 6.1, which has no file with the architecture.
* The loader, or an unpacked program, is cached in a directory of the user, under a name derived from its content. The
  script never uses a directory or file that another user could have created or could replace. Therefore it tests
  ownership and symbolic links, and requires that the parent directory belongs to the user too, or to root with the
  sticky bit (other users can add entries there, but not rename them).
* A cached file gets its final name only after cksum has found it complete, and only if the file system allows
  execution: the script first writes an empty script under a temporary name and runs it. Programs are checked again at
  every start, because a crash of the machine can truncate them. Loaders are only checked for not being empty, because
  the fork for cksum would double the start time.
* In a shell under Rosetta, uname reports an Intel Mac; sysctl reports the truth.
* The script has a second part behind the loaders, because the first page has no room for it. The first part reads and
  evaluates it only where no directory can be used, with dd, as it reads loaders.
* There, `ape` from PATH is tried first. Installed versions differ, and most give the program less information than our
  loader. Else the loader runs from memory: no command of a shell makes memfd_create(2), the system call for that, but
  perl and python3 do, where one of them is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from apepack.format.cksum import posix_cksum
from apepack.format.octal import encode_octal
from apepack.format.unpacked import render_case_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apepack.format.unpacked import UnpackedImage
    from runtime.image.elf import ElfHeader

__all__ = ["BLOCK_SIZE", "SECOND_PART", "MappedProgram", "UnpackedProgram", "cache_name", "render_script"]

BLOCK_SIZE: Final = 64  # dd's block size for loaders, in bytes

_DETECT_MACHINE: Final = """\
o=$0
case $o in
*/*) ;;
*) if [ -f "./$o" ]; then o=./$o; else o=$(command -v "$o"); fi ;;
esac
m=
if [ -r /proc/sys/kernel/arch ]; then read -r m </proc/sys/kernel/arch; fi
if [ "$m" ]; then m="Linux $m"; else m=$(uname -sm); fi
"""

_DETECT_ROSETTA: Final = """\
if [ "$m" = "Darwin x86_64" ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then m="Darwin arm64"; fi
"""

# h: name in the cache; k, n: first block and number of blocks; c: output of cksum; z: set for a compressed program.
_MAPPED_CASE: Final = """\
{patterns})
if [ "${{1-}}" = --assimilate ]; then
printf '{header}' 1<>"$o"
exit
fi
h={name} k={skip} n={count} c='{cksum}'
;;
"""

_NO_PROGRAM_CASE: Final = """\
*)
echo "$0: this program is for {systems}, not for $m" >&2
exit 127
;;
esac
"""

_UNPACK_TO_CACHE: Final = """\
if [ "$z" ]; then dd if="$o" skip=$k count=$n bs=4096 | gzip -dc; else dd if="$o" skip=$k count=$n bs=64; fi"""
_COPY_TO_CACHE: Final = """\
dd if="$o" skip=$k count=$n bs=64"""

_RUN_FUNCTION: Final = """\
run() {
if [ "$z" ]; then
LLAMAFILE_CONTAINER=$o
export LLAMAFILE_CONTAINER
exec "$p" "$@"
fi
exec "$p" - "$o" "$o" "$@"
}
"""

_START_FROM_CACHE: Final = """\
own() { [ -O "$1" ] || env [ -O "$1" ]; } 2>/dev/null # env: posh has no -O
u=${LOGNAME:-${USER-}}
case $u in ""|*/*) u=$(id -u) ;; esac
t=
w=
for s in find make; do
for b in "${TMPDIR-}" "${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}" "${XDG_RUNTIME_DIR-}" \\
/tmp /var/tmp "${o%/*}" /dev/shm; do
d=$b/.ape-$u
p=$d/$h
if [ -z "$b" ]; then continue; fi
if [ $s = find ]; then
if [ -x "$p" ] && [ -s "$p" ] && ! [ -L "$d" ] && own "$d" && own "$p"{whole}; then {run}; fi
continue
fi
trap 'rm -f "$t"; rmdir "$d"; exit 130' 1 2 15
if {
case $b in */.cache) mkdir -m 700 "$b" ;; esac
mkdir -m 700 "$d"
{ own "$b" || [ "$(find "$b/." -prune -user 0 -perm -1000)" ]; } && ! [ -L "$d" ] && own "$d" && chmod 700 "$d" &&
t=$(mktemp "$p.XXXXXX" || echo "$p.$$") && echo >"$t" && chmod 700 "$t" && "$t" &&
{ {copy}; } >"$t" && [ "$(cksum <"$t")" = "$c" ] && mv -f "$t" "$p"
} >/dev/null 2>&1; then {run}; fi
rm -f "$t"
rmdir "$d" 2>/dev/null
w="$w $b"
done
done
e="$0: no directory to run a program from (tried$w): set TMPDIR to one, install the loader as ape, or convert this \
file with assimilate"
{second_part}\
{needs}\
echo "$e" >&2
exit 126
"""

_EXEC_LOADER: Final = """exec "$p" - "$o" "$o" "$@\""""
# An unreadable second part has no effect. Without dd, the commands are checked next.
_EVALUATE_SECOND_PART: Final = """\
eval "$(dd if="$o" skip={skip} count={count} bs=64 2>/dev/null)"
"""
_CHECK_PROGRAM: Final = """ &&
{ [ -z "$z" ] || [ "$(cksum <"$p")" = "$c" ]; }"""
_CHECK_COMMANDS: Final = """\
for s in cksum dd{gzip}; do
if ! command -v $s >/dev/null; then
echo "$0: needs the command $s to start" >&2
exit 126
fi
done
"""

# It ends in exec, or returns to the first part. For perl and python3:
# * 319 and 279 are the numbers of memfd_create, 1 and 64 those of write.
# * 17 is MFD_CLOEXEC and MFD_EXEC. Linux before 6.3 knows only the former; without the latter, newer versions can be
#   configured to forbid execution.
# * Perl complains of an unknown locale unless PERL_BADLANG is 0.
_SECOND_PART: Final = r"""case $m in Linux*)
if command -v ape >/dev/null; then exec ape - "$o" "$o" "$@"; fi
if [ "$({ dd if="$o" skip=$k count=$n bs=64 | cksum; } 2>/dev/null)" = "$c" ]; then
set -- "$m" "$e" "$o" $k $n "$@"
if command -v perl >/dev/null; then
export PERL_BADLANG=0
exec perl -e '($m, $e, $o, $k, $n) = splice @ARGV, 0, 5;
delete $ENV{PERL_BADLANG};
open I, "<:raw", $o; seek I, 64 * $k, 0; read I, $s, 64 * $n;
($c, $w) = $m =~ /86|amd/ ? (319, 1) : (279, 64);
($f = syscall $c, $t = "ape", 17) < 0 and $f = syscall $c, $t, 1;
syscall $w, $f, $s, length $s;
exec {"/proc/self/fd/$f"} "ape", "-", $o, $o, @ARGV;
print STDERR "$e\n"; exit 126' "$@"
fi
if command -v python3 >/dev/null; then
exec python3 -IS -c 'import os, sys
m, e, o, k, n, *a = sys.argv[1:]
i = open(o, "rb"); i.seek(64 * int(k)); s = i.read(64 * int(n))
for t in 17, 1:
    try:
        f = os.memfd_create("ape", t); os.write(f, s)
        os.execv("/proc/self/fd/%d" % f, ["ape", "-", o, o, *a])
    except (AttributeError, OSError):
        pass
print(e, file=sys.stderr); sys.exit(126)' "$@"
fi
fi ;;
esac
"""
# Padded for dd with newlines: some shells complain of NUL bytes in the output of a command.
SECOND_PART: Final = (_SECOND_PART + "\n" * (-len(_SECOND_PART) % BLOCK_SIZE)).encode("ascii")


@dataclass(frozen=True, slots=True)
class MappedProgram:
    """The script's data for a program that a loader maps."""

    patterns: tuple[str, ...]  # of the output of `uname -sm`
    header: ElfHeader  # written by --assimilate
    loader: bytes
    loader_offset: int


@dataclass(frozen=True, slots=True)
class UnpackedProgram:
    """The script's data for a program that it unpacks."""

    patterns: tuple[str, ...]  # of the output of `uname -sm`
    image: UnpackedImage
    name: str  # in the cache


def render_script(
    mapped: Sequence[MappedProgram],
    unpacked: Sequence[UnpackedProgram] = (),
    others: Sequence[str] = (),
    second_part_offset: int = 0,
) -> str:
    """Return the first part of the script for these programs.

    OTHERS are the systems on which the file runs without the script. With MAPPED, SECOND_PART must be at
    SECOND_PART_OFFSET in the file.
    """
    systems = [program.patterns[0] for program in mapped] + [program.patterns[0] for program in unpacked] + [*others]
    has_apple = any(program.image.platform == "macos-arm64" for program in unpacked)
    begin = _DETECT_MACHINE + (_DETECT_ROSETTA if has_apple else "") + ("z=\n" if unpacked else "") + "case $m in\n"
    programs = [_render_mapped(program) for program in mapped]
    programs += [render_case_line(program.image, program.patterns, program.name) for program in unpacked]
    otherwise = _NO_PROGRAM_CASE.replace("{systems}", " and ".join(systems))
    second_part = _EVALUATE_SECOND_PART.format(
        skip=second_part_offset // BLOCK_SIZE, count=len(SECOND_PART) // BLOCK_SIZE
    )
    start = _render_start(second_part if mapped else "", unpacks=bool(unpacked))
    return begin + "".join(programs) + otherwise + start


def cache_name(content: bytes) -> str:
    """Return the name of a loader or program in the cache."""
    return sha256(content).hexdigest()[:16]


def _render_mapped(program: MappedProgram) -> str:
    return _MAPPED_CASE.format(
        patterns="|".join(f'"{pattern}"' for pattern in program.patterns),
        header=encode_octal(program.header.pack()),
        name=cache_name(program.loader),
        skip=program.loader_offset // BLOCK_SIZE,
        count=len(program.loader) // BLOCK_SIZE,
        cksum=f"{posix_cksum(program.loader)} {len(program.loader)}",
    )


def _render_start(second_part: str, *, unpacks: bool) -> str:
    end = _START_FROM_CACHE.replace("{copy}", _UNPACK_TO_CACHE if unpacks else _COPY_TO_CACHE)
    end = end.replace("{run}", 'run "$@"' if unpacks else _EXEC_LOADER)
    end = end.replace("{whole}", _CHECK_PROGRAM if unpacks else "")
    needs = _CHECK_COMMANDS.replace("{gzip}", " ${z:+gzip}" if unpacks else "")
    end = end.replace("{second_part}", second_part).replace("{needs}", needs)
    return (_RUN_FUNCTION if unpacks else "") + end
