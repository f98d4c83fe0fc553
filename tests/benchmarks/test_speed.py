"""Rounds of measurements, with the limits of the machine beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.bench_speed import Models, Plan, measure
from benchmarks.contestants import Contestant, Test
from benchmarks.record import OURS, Record
from benchmarks.roofline import work_of
from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from pathlib import Path

# Each time that it measures the machine, that reads 1 GB/s more.
OUR_BENCH = """\
case $1 in
--roofline)
    echo x >>"$0.asked"
    echo '{"cpu_variant": "zen4", "reads": [{"n_threads": 2, "best_gb_s": '$(wc -l <"$0.asked")'}], "peaks":
    [{"kind": "f32", "n_threads": 2, "best_gop_s": 8000, "is_used": true}]}' ;;
*) echo '[{"avg_ts": 20}, {"avg_ts": 10}]' ;;
esac
"""


@pytest.mark.parametrize(("rival", "runs"), [(10, 2), (11, 5)])
def test_each_result_of_ours_has_its_own_limit(tmp_path: Path, rival: float, runs: int) -> None:
    """Those of the rounds that a missed goal adds, too."""
    ours, other = tmp_path / "ours", tmp_path / "other"
    ours.write_text(OUR_BENCH)
    other.write_text(f'echo \'[{{"avg_ts": 20}}, {{"avg_ts": {rival}}}]\'\n')
    model = TinyModel().write(tmp_path / "model.gguf")
    entrants = [Contestant(OURS, ["sh", str(ours)]), Contestant("clang", ["sh", str(other)])]
    record = Record("speed", "", "", "tokens/s", 2, {})
    measure(record, entrants, Plan(Models({"m": model}, {}), model, 2, 3, (2,), Test(512, 128)))
    prompt, generated = record.cells
    assert generated.samples == {OURS: [10] * runs, "clang": [rival] * runs}
    means = [1.5 + 2 * number for number in range(runs)]  # of 1 and 2, of 3 and 4, …
    assert generated.limits == pytest.approx([mean * 1e9 / work_of(model).weight_bytes for mean in means])
    assert len(prompt.limits) == runs
    assert record.more_facts["rooflines"]["all"]["GB/s"] == {"2": list(range(1, 2 * runs + 1))}
