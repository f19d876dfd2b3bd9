"""Which GPU a job takes where there are several."""

import subprocess
import sys
from pathlib import Path

from segunc.learning.device import take_one

HOLD = "import sys, pathlib; from segunc.learning.device import take_one; "
HOLD += "print(take_one(sys.argv[2:], pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"


def holder(folder: Path, *ids: str) -> tuple[subprocess.Popen[str], int]:
    """Another program, which holds the GPU that it took until it is killed."""
    words = [sys.executable, "-c", HOLD, str(folder), *ids]
    program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    return program, int(program.stdout.readline())


def test_each_job_takes_a_gpu_of_its_own_until_it_ends(tmp_path: Path) -> None:
    first, index = holder(tmp_path, "a", "b")
    assert index == 0
    second, index = holder(tmp_path, "a", "b")
    assert index == 1
    first.kill()
    first.wait()
    assert take_one(["a", "b"], tmp_path) == 0
    # By name, not by index: a job that sees only one of them sees it as its first.
    assert take_one(["c", "b"], tmp_path) == 0
    second.kill()
    second.wait()
    assert take_one(["b"], tmp_path) == 0


def test_where_all_are_taken_jobs_share(tmp_path: Path) -> None:
    program, _ = holder(tmp_path, "a")
    assert take_one(["a"], tmp_path) == 0
    program.kill()
    program.wait()
