"""The shell script of an APE: picks the program for this machine, and the loader that maps it.

It runs in every POSIX shell, and in the ones that nearly are. What shapes it:

* Every path through it ends in exec or exit: behind it the file is binary.
* A start with the loader in place runs no other command: everything is built into the shell. The one exception is
  uname where Linux does not tell its architecture in a file (before 6.1); a fork costs more than all the rest.
* The loader is kept in a directory of the user's own, under a name made from its content. A directory or file that
  another user could have made or could exchange is never used: hence the tests for ownership and symbolic links, and
  that the directory around it is the user's own too, or root's with the sticky bit (others may add, not rename).
* A loader counts only when it is complete (cksum) and has run once where it is (a file system may forbid it).
* `ape` from PATH is the last resort only. Versions in the field differ, and most tell the program less about itself
  than our loader does; but where nothing else can run, one that the administrator installed still may.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from apepack.octal import encode_octal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.image.elf import ElfHeader

__all__ = ["BLOCK_SIZE", "ScriptProgram", "posix_cksum", "render_script"]

BLOCK_SIZE: Final = 64  # loaders begin and end at multiples of this, for dd

_BEGIN: Final = """\
o=$0
case $o in
*/*) ;;
*) if [ -f "./$o" ]; then o=./$o; else o=$(command -v "$o"); fi ;;
esac
m=
if [ -r /proc/sys/kernel/arch ]; then read -r m </proc/sys/kernel/arch; fi
if [ "$m" ]; then m="Linux $m"; else m=$(uname -sm); fi
case $m in
"""

# h: the loader's name, k and n: where its blocks are, c: what cksum says of it.
_PROGRAM: Final = """\
{patterns})
if [ "${{1-}}" = --assimilate ]; then
printf '{header}' 1<>"$o"
exit
fi
h={name} k={skip} n={count} c='{cksum}'
;;
"""

_END: Final = """\
*)
echo "$0: this program is for {systems}, not for $m" >&2
exit 127
;;
esac
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
if [ -x "$p" ] && ! [ -L "$d" ] && own "$d" && own "$p"; then exec "$p" - "$o" "$o" "$@"; fi
continue
fi
trap 'rm -f "$t"; rmdir "$d"; exit 130' 1 2 15
if {
case $b in */.cache) mkdir -m 700 "$b" ;; esac
mkdir -m 700 "$d"
{ own "$b" || [ "$(find "$b/." -prune -user 0 -perm -1000)" ]; } && ! [ -L "$d" ] && own "$d" && chmod 700 "$d" &&
t=$(mktemp "$p.XXXXXX" || echo "$p.$$") && dd if="$o" of="$t" skip=$k count=$n bs=64 &&
[ "$(cksum <"$t")" = "$c" ] && chmod 700 "$t" && "$t" -h && mv -f "$t" "$p"
} >/dev/null 2>&1; then exec "$p" - "$o" "$o" "$@"; fi
rm -f "$t"
rmdir "$d" 2>/dev/null
w="$w $b"
done
done
if command -v ape >/dev/null; then exec ape - "$o" "$o" "$@"; fi
echo "$0: no directory to run a program from (tried$w): set TMPDIR to one, or convert this file with assimilate" >&2
exit 126
"""


@dataclass(frozen=True, slots=True)
class ScriptProgram:
    """What the script has to know about one Linux program."""

    system: str  # as `uname -s` prints it
    machines: tuple[str, ...]  # as `uname -m` prints it
    header: ElfHeader  # that --assimilate writes
    loader: bytes
    loader_offset: int


def render_script(programs: Sequence[ScriptProgram], others: Sequence[str] = ()) -> str:
    """Return the script for these programs, in a file that also runs on the systems OTHERS without it."""
    systems = " and ".join([*(f"{program.system} {program.machines[0]}" for program in programs), *others])
    return _BEGIN + "".join(map(_render_program, programs)) + _END.replace("{systems}", systems)


def _render_program(program: ScriptProgram) -> str:
    return _PROGRAM.format(
        patterns="|".join(f'"{program.system} {machine}"' for machine in program.machines),
        header=encode_octal(program.header.pack()),
        name=sha256(program.loader).hexdigest()[:16],
        skip=program.loader_offset // BLOCK_SIZE,
        count=len(program.loader) // BLOCK_SIZE,
        cksum=f"{posix_cksum(program.loader)} {len(program.loader)}",
    )


def posix_cksum(data: bytes) -> int:
    """Return the checksum that cksum(1) prints: the CRC of POSIX, which is not the one of ZIP."""
    size = len(data)
    data += size.to_bytes((size.bit_length() + 7) // 8, "little")
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc ^ 0xFFFFFFFF
