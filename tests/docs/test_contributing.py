"""The recipes of CONTRIBUTING.md, each carried out in a copy of the checkout.

The edits of a recipe are in the order of its numbered steps, one edit per step, so that the steps can be counted.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from helpers.workflow import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
SCHEMA = "workflow/schemas/config.schema.json"
CONFIG = "config.yaml"


class Edit(NamedTuple):
    """One place of a recipe."""

    file: str
    before: str
    """Occurs once in the file; empty if the file is new or generated."""
    after: str
    """What stands there afterwards; empty if the file is generated."""
    imports: str = ""
    """What the change has to import, which counts with it."""


def added(file: str, text: str) -> Edit:
    return Edit(file, "", text)


def behind(file: str, line: str, *lines: str) -> Edit:
    return Edit(file, f"{line}\n", "\n".join([line, *lines, ""]))


GENERATED = Edit(SCHEMA, "", "")

MODEL = [
    added(
        "src/segunc/models/coin.py",
        (ROOT / "src/segunc/models/unet.py")
        .read_text()
        .replace("backbone: Backbone) -> nn.Module:", "backbone: Backbone, *, bias: float = 0.5) -> nn.Module:"),
    ),
    behind(CONFIG, "models:", "  coin: {label: Coin, method: coin, options: {bias: 0.3}}"),
    Edit(CONFIG, "  models: [unet, ensemble, mc_dropout, prob_unet]\n  seeds", "  models: [unet, coin]\n  seeds"),
    GENERATED,
]
DATASET = [
    behind(
        CONFIG,
        "datasets:",
        "  few:",
        "    label: Few",
        "    format: phantom",
        "    options: {kind: lung, patients: 30, images_per_patient: 1, size: 32}",
        "    size: 32",
    ),
    Edit(CONFIG, "grid:\n  datasets: [phantom_lung, phantom_skin]\n", "grid:\n  datasets: [phantom_lung, few]\n"),
]
FORMAT = [
    added(
        "src/segunc/data/formats/blank.py",
        '''"""Blank images with one pixel of foreground."""

from collections.abc import Iterator

import numpy as np

from segunc.data.store import Record


def read(
    *,
    count: int,  # images, each of a patient of its own
) -> Iterator[Record]:
    for number in range(count):
        mask = np.zeros((8, 8), np.uint8)
        mask[3, 4] = 1
        yield Record(np.zeros((1, 8, 8), np.uint8), [mask], f"{number}", f"{number}", f"{number}")
''',
    ),
    behind(CONFIG, "  few:", "    label: Blank", "    format: blank", "    options: {count: 9}", "    size: 8", "  many:"),
    Edit(CONFIG, "  datasets: [phantom_lung, few]\n", "  datasets: [phantom_lung, few, many]\n"),
    GENERATED,
]
STRATEGY = [
    added(
        "src/segunc/strategies/last.py",
        '''"""`last`: the last images of the pool."""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool

NEEDS = "nothing"


def pick(pool: Pool, k: int, rng: np.random.Generator, *, reverse: bool = False) -> NDArray[np.int64]:
    """k positions from the end."""
    return np.arange(len(pool.patient_id))[-k:][:: -1 if reverse else 1]
''',
    ),
    behind(CONFIG, "strategies:", "  last: {label: Last, method: last, options: {reverse: true}}"),
    Edit(CONFIG, "  strategies: [random, entropy]\n", "  strategies: [random, last]\n"),
    GENERATED,
]
STAGE = [
    added(
        "src/segunc/evaluation/calibration.py",
        '''"""Calibrated probabilities."""

from numpy.typing import NDArray


def calibrate(probability: NDArray) -> NDArray:
    """Halfway to 1/2."""
    return (probability + 0.5) / 2
''',
    ),
    added(
        "src/segunc/stages/calibrate.py",
        '''"""Stage `calibrate`: samples with calibrated probabilities."""

import shutil
from pathlib import Path

import h5py

from segunc.evaluation.calibration import calibrate
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    samples: Path,  # as they were sampled
    calibrated: Path,  # HDF5 file to write
) -> None:
    with write_atomically(calibrated) as path:
        shutil.copy(samples, path)
        with h5py.File(path, "r+") as file:
            file["mean_probability"][:] = calibrate(file["mean_probability"][:])


if __name__ == "__main__":
    main()
''',
    ),
    added(
        "workflow/rules/calibrate.smk",
        '''rule calibrate:
    input:
        samples=rules.sample.output.samples,
    output:
        samples="<results>/calibrated/<cell>.h5",
        record="<record>",
    log:
        "<log>",
    benchmark:
        "<timing>"
    pathvars:
        step="calibrate",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=NO_SETTINGS,
        code=code("stages.calibrate"),
    message:
        "Calibrating {wildcards}"
    shell:
        "python -m segunc.stages.calibrate"
        " --spec {params.spec:q} --code {params.code:q} --record {output.record}"
        " --samples {input.samples}"
        " --calibrated {output.samples}"
        " > {log} 2>&1"
''',
    ),
    behind("Snakefile", 'include: "workflow/rules/sample.smk"', 'include: "workflow/rules/calibrate.smk"'),
    Edit("workflow/rules/evaluate.smk", "=rules.sample.output.samples", "=rules.calibrate.output.samples"),
    Edit("workflow/rules/evaluate.smk", 'file_of(("sample",', 'file_of(("calibrate",'),
    Edit("workflow/rules/figures.smk", '[("sample", of_model', '[("calibrate", of_model'),
    Edit("src/segunc/config/specs.py", '{model: ("sample", cell', '{model: ("calibrate", cell'),
    Edit(
        "src/segunc/active/round_scores.py",
        '(arrays["mean_probability"])',
        '(calibrate(arrays["mean_probability"]))',
        "from segunc.evaluation.calibration import calibrate",
    ),
    behind("profiles/slurm/config.yaml", "  sample: sample", "  calibrate: sample"),
]
# `scores` names files by what they hold, so that the three stages that score pass a new one on unseen.
OUTPUT = [
    Edit(
        "workflow/rules/evaluate.smk",
        '        pixels="<results>/scores/<cell>/pixels.csv.gz",\n',
        '        pixels="<results>/scores/<cell>/pixels.csv.gz",\n'
        '        agreement="<results>/scores/<cell>/agreement.csv",\n',
    ),
    Edit(
        "workflow/rules/evaluate.smk",
        '        " --pixels {output.pixels}"\n',
        '        " --pixels {output.pixels}"\n        " --agreement {output.agreement}"\n',
    ),
    *(
        Edit(
            f"src/segunc/stages/{stage}.py",
            "    pixels: Path,  # CSV to write, gzipped: histograms of entropy\n",
            "    pixels: Path,  # CSV to write, gzipped: histograms of entropy\n    agreement: Path,  # CSV to write\n",
        )
        for stage in ("evaluate", "baselines", "baseline_threshold")
    ),
    # And what computes and writes it, in src/segunc/evaluation/scores.py.
]
FIGURE = [
    added(
        "src/segunc/figures/dice_by_model.py",
        '''"""Figure: how well do the models overlap with the annotators? Reads the table `summary`."""

from pathlib import Path

from matplotlib.figure import Figure

from segunc.figures import style
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    summary: Path,  # summary.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    table = style.read_table(summary)
    figure = Figure()
    table[table["metric"] == "dice"].plot.bar("model", "mean", ax=figure.subplots())
    style.save(figure, png, pdf)


if __name__ == "__main__":
    main()
''',
    ),
    Edit(
        "workflow/rules/figures.smk",
        "use rule plot_contact_sheet as plot_ged_by_samples with:",
        '''use rule plot_contact_sheet as plot_dice_by_model with:
    input:
        summary=rules.tabulate.output.summary,
    output:
        png=figure("<results>/figures/dice_by_model.png", "Figures", "Dice by model"),
        pdf="<results>/figures/dice_by_model.pdf",
        record="<record>",
    pathvars:
        step="plot_dice_by_model",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.dice_by_model"),
        figure="dice_by_model",


use rule plot_contact_sheet as plot_ged_by_samples with:''',
    ),
    Edit("workflow/rules/targets.smk", '("ged_by_samples",)', '("ged_by_samples", "dice_by_model")'),
    added("workflow/report/dice_by_model.rst", "Dice by model.\n"),
]
TABLE = [
    Edit(
        "src/segunc/evaluation/tables.py",
        "def is_baseline(",
        '''def images_per_cell(cells: Sequence[Cell]) -> pd.DataFrame:
    """`images_per_cell.csv`: test images of each model on each dataset."""
    rows = [(cell.dataset, cell.model, len(cell.images)) for cell in cells]
    return pd.DataFrame(rows, columns=["dataset", "model", "n_images"])


def is_baseline(''',
    ),
    Edit(
        "src/segunc/stages/tabulate.py",
        '        "missing": missing,\n    }\n',
        '        "missing": missing,\n        "images_per_cell": study.images_per_cell(scored),\n    }\n',
    ),
    Edit(
        "workflow/rules/tabulate.smk",
        '                "missing",\n',
        '                "missing",\n                "images_per_cell",\n',
    ),
]
COLUMN = [
    Edit(
        "src/segunc/evaluation/tables.py",
        'rows = [(cell.dataset, cell.model, len(cell.images)) for cell in cells]',
        'rows = [(cell.dataset, cell.model, len(cell.images)) for cell in cells]',
    ),
]
RESULTS_FOLDER = [Edit("workflow/rules/common.smk", '    results="results",', '    results="elsewhere",')]
