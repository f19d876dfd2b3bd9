"""docs/your-model.md from its first command to the tables, with the example that needs nothing but segunc."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from helpers.documents import blocks
from helpers.workflow import ROOT, Study, merged

PAGE = [block.text for block in blocks(Path("docs/your-model.md"))]


def program(folder: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_folder_of_probability_maps(study: Study, tmp_path: Path) -> None:
    copy = study.copy(tmp_path / "run")
    exported, *_ = [line for text in PAGE for line in text.splitlines() if line.startswith("segunc export")]
    program(copy.folder, "-m", "segunc.commands.main", *exported.split()[1:])
    [layout] = [text for text in PAGE if text.startswith("exported/")]
    for line in layout.splitlines():
        pattern = line.split()[0].replace("images/<id>", "images/*/*/*").replace("_0/<id>", "_0/*/*/*")
        assert [*copy.folder.glob(pattern.replace("<id>", "*"))], line

    [example] = [text for text in PAGE if text.startswith("python examples/plain_torch.py")]
    _, file, *arguments = example.split()
    program(copy.folder, str(ROOT / file), *arguments)
    one = np.load(next((copy.folder / "predictions/plain/seed0").iterdir()))
    assert one.shape == (32, 32) and one.dtype == np.float32

    [overlay] = [yaml.safe_load(text) for text in PAGE if text.startswith("# compare.yaml\n")]
    # The others are not installed.
    overlay["grid"]["models"] = ["unet", "plain"]
    done = copy.run("tables", overlay=merged({**copy.grid, "run": overlay.pop("run")}, **overlay))
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(copy.folder / "results/runs/compare/tables/summary.csv")
    means = summary.set_index(["model", "metric"])["mean"]
    # In nats per pixel, less than that of a coin.
    assert means["plain", "cross_entropy"] < 0.5
    assert all(np.isfinite(means[model, "ged_u"]) for model in ("plain", "plain+levels", "unet"))
