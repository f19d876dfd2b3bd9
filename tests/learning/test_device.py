"""Which GPU a job claims if there are several."""

import subprocess
import sys
from pathlib import Path

from segunc.learning.device import claim_gpu

HOLD = "import sys, pathlib; from segunc.learning.device import claim_gpu; "
HOLD += "print(claim_gpu(sys.argv[2:], pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"


def holder(folder: Path, *ids: str) -> tuple[subprocess.Popen[str], int]:
    """Another program, which holds the GPU that it claimed until it is killed."""
    words = [sys.executable, "-c", HOLD, str(folder), *ids]
    program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    return program, int(program.stdout.readline())


def test_each_job_claims_its_own_gpu_until_it_ends(tmp_path: Path) -> None:
    first, index = holder(tmp_path, "a", "b")
    assert index == 0
    second, index = holder(tmp_path, "a", "b")
    assert index == 1
    first.kill()
    first.wait()
    assert claim_gpu(["a", "b"], tmp_path) == 0
    # By name, not by index: a job that sees only one of them sees it as its first.
    assert claim_gpu(["c", "b"], tmp_path) == 0
    second.kill()
    second.wait()
    assert claim_gpu(["b"], tmp_path) == 0


def test_jobs_share_if_all_are_claimed(tmp_path: Path) -> None:
    program, _ = holder(tmp_path, "a")
    assert claim_gpu(["a"], tmp_path) == 0
    program.kill()
    program.wait()
