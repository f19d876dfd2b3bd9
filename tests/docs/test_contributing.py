"""The recipes of CONTRIBUTING.md, each carried out in a copy of the checkout.

The edits of a recipe are in the order of its numbered steps, one edit per step, so that the steps can be counted.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

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
        .replace("backbone: Backbone) -> nn.Module:", "backbone: Backbone, *, bias: float = 0.5) -> nn.Module:", 1),
    ),
    behind(CONFIG, "models:", "  coin: {label: Coin, method: coin, options: {bias: 0.3}}"),
    Edit(
        CONFIG,
        "  models: [unet, ensemble, ensemble_index, mc_dropout, prob_unet]\n  seeds",
        "  models: [unet, coin]\n  seeds",
    ),
    GENERATED,
]
WRAPPER = [
    added(
        "src/segunc/models/mirror.py",
        '''"""`mirror`: the trained network of another model, with or without an image that is flipped."""

from torch import Tensor, nn

WORK = {"image": {"image": 1}, "sample": {"sample": 1}}


def wrap(trained: nn.Module, *, flip: bool = True) -> nn.Module:
    """The network."""
    return Mirror(trained, flip)


class Mirror(nn.Module):
    """Each sample is that of the image or of its mirror image."""

    def __init__(self, trained: nn.Module, flip: bool) -> None:
        super().__init__()
        self.trained, self.flip, self.draws = trained, flip, trained.draws

    def sample(self, images: Tensor, n: int, generator: object) -> Tensor:
        """As `segunc.models` describes."""
        if self.flip:
            return self.trained.sample(images.flip(-1), n, generator).flip(-1)
        return self.trained.sample(images, n, generator)
''',
    ),
    behind(CONFIG, "models:", "  mirror: {label: Mirror, method: mirror, options: {of: coin, flip: true}}"),
    Edit(CONFIG, "  models: [unet, coin]\n  seeds", "  models: [unet, coin, mirror]\n  seeds"),
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

from segunc.data.store import ImageRecord


def read(
    *,
    count: int,  # images, each of a patient of its own
) -> Iterator[ImageRecord]:
    for number in range(count):
        mask = np.zeros((8, 8), np.uint8)
        mask[3, 4] = 1
        yield ImageRecord(np.zeros((1, 8, 8), np.uint8), [mask], f"{number}", f"{number}", f"{number}")
''',
    ),
    behind(
        CONFIG, "  few:", "    label: Blank", "    format: blank", "    options: {count: 9}", "    size: 8", "  many:"
    ),
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
        """rule calibrate:
    input:
        samples="<results>/samples/<cell>.h5",
    output:
        samples="<results>/calibrated/<cell>.h5",
        record="<record>",
    log:
        "<log>",
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
        "python -m segunc.runtime.start {params.job}"
        " --samples {input.samples}"
        " --calibrated {output.samples}"
        " > {log} 2>&1"
""",
    ),
    behind("Snakefile", 'include: "workflow/rules/sample.smk"', 'include: "workflow/rules/calibrate.smk"'),
    Edit(
        "src/segunc/cells.py",
        "return (IMPORTED if config.models[cell.model].imported else SAMPLES), cell",
        'return "calibrate", cell',
    ),
    Edit(
        "src/segunc/active/round_scores.py",
        "inputs_of(prediction, ",
        "inputs_of(prediction._replace(probability=calibrate(prediction.probability)), ",
        "from segunc.evaluation.calibration import calibrate",
    ),
    behind("profiles/slurm/config.yaml", "  sample: sample", "  calibrate: sample"),
    behind("profiles/slurm/config.yaml", "  evaluate: {slurm_partition: gpu}", "  calibrate: {slurm_partition: gpu}"),
]
OUTPUT = [
    Edit(
        "workflow/rules/evaluate.smk",
        '        pixels="<results>/scores/<cell>/pixels.csv.gz",\n',
        '        pixels="<results>/scores/<cell>/pixels.csv.gz",\n        votes="<results>/scores/<cell>/votes.csv",\n',
    ),
    Edit(
        "workflow/rules/evaluate.smk",
        "{output.levels} {output.pixels}",
        "{output.levels} {output.pixels} {output.votes}",
    ),
    Edit(
        "src/segunc/evaluation/scores.py",
        "    by_name = {path.name: path for path in files}\n",
        """    by_name = {path.name: path for path in files}
    scored = list(scored)
    with write_atomically(by_name["votes.csv"]) as path:
        path.write_text("".join(f"{row['image_id']},{row['votes']}\\n" for row, *_ in scored), encoding="utf-8")
""",
    ),
]
METRIC = [
    Edit(
        "src/segunc/metrics/overlap.py",
        "def dice(",
        '''def foreground_share(mask: NDArray) -> float:
    """Share of the pixels of a mask that are foreground."""
    return float(mask.mean())


def dice(''',
    ),
    Edit(
        "src/segunc/metrics/registry.py",
        """    Metric(
        name="iou",""",
        """    Metric(
        name="foreground_share",
        function=overlap.foreground_share,
        needs=("prediction",),
        meaning="share of the pixels that the thresholded mean marks",
        label="foreground",
        higher_is_better=None,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="iou",""",
    ),
]
FIGURE = [
    added(
        "src/segunc/figures/dice_by_model.py",
        '''"""Figure: how well do the models overlap with the annotators? Reads the table `summary`."""

from pathlib import Path

from matplotlib.figure import Figure

from segunc.data.result_table import read_table
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
    table = read_table(summary)
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
        """use rule plot_contact_sheet as plot_dice_by_model with:
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


use rule plot_contact_sheet as plot_ged_by_samples with:""",
    ),
    Edit("workflow/rules/targets.smk", '"training_curves")', '"training_curves", "dice_by_model")'),
    added("workflow/report/dice_by_model.rst", "Dice by model.\n"),
]
TABLE = [
    Edit(
        "src/segunc/evaluation/tables.py",
        "def is_baseline(",
        '''def images_per_cell(cells: Sequence[CellScores]) -> pd.DataFrame:
    """`images_per_cell.csv`: test images of each model on each dataset."""
    rows = [(cell.dataset, cell.model, len(cell.images)) for cell in cells]
    return pd.DataFrame(rows, columns=["dataset", "model", "n_images"])


def is_baseline(''',
    ),
    Edit(
        "src/segunc/stages/tabulate.py",
        '        "missing": missing,\n    }\n',
        '        "missing": missing,\n        "images_per_cell": of_grid.images_per_cell(scored),\n    }\n',
    ),
    Edit(
        "workflow/rules/tabulate.smk",
        '                "missing",\n',
        '                "missing",\n                "images_per_cell",\n',
    ),
    added("workflow/report/tables/images_per_cell.rst", "Test images of each model on each dataset.\n"),
]
COLUMN = [
    Edit(
        "src/segunc/evaluation/tables.py",
        '"seed_sd": seed_sd}',
        '"seed_sd": seed_sd, "seed_max": cell.runs.groupby("seed")[metric].mean().max()}',
    ),
    Edit("src/segunc/evaluation/tables.py", '"n_undefined", "seed_sd"]', '"n_undefined", "seed_sd", "seed_max"]'),
]
RESULTS_FOLDER = [Edit("workflow/rules/common.smk", '    results="results",', '    results="elsewhere",')]
# The fields of Cell keep their names; the new name is translated where wildcards become cells and cells wildcards.
WILDCARD = [
    Edit("workflow/rules/common.smk", '    cell="<dataset>/{model}/', '    cell="<dataset>/{network}/'),
    Edit("workflow/rules/common.smk", '    round="<dataset>/{model}/', '    round="<dataset>/{network}/'),
    Edit("Snakefile", '    model="|".join(', '    network="|".join('),
    Edit(
        "src/segunc/cells.py",
        "{name: str(value) for name, value in wildcards}",
        '{{"network": "model"}.get(name, name): str(value) for name, value in wildcards}',
    ),
    Edit(
        "src/segunc/cells.py",
        "return {name: str(value) for name, value in self._asdict()",
        'return {{"model": "network"}.get(name, name): str(value) for name, value in self._asdict()',
    ),
]
RECIPES = {
    "A model": MODEL,
    "A model that samples from the trained network of another": WRAPPER,
    "A dataset in a known format": DATASET,
    "A dataset format": FORMAT,
    "An acquisition strategy": STRATEGY,
    "A metric": METRIC,
    "A stage between `sample` and `evaluate`": STAGE,
    "An output file of `evaluate`": OUTPUT,
    "A table": TABLE,
    "A table column": COLUMN,
    "A figure": FIGURE,
    "Another results folder": RESULTS_FOLDER,
    "Another name for a wildcard": WILDCARD,
}
MOST = {
    "A stage between `sample` and `evaluate`": 10,
    "An output file of `evaluate`": 7,
    "A figure": 5,
    "Another results folder": 1,
    "Another name for a wildcard": 12,
}
"""Places that a recipe may need."""

FACTS = """
import importlib, json, shlex, sys
from segunc.evaluation import tables
from segunc.evaluation.scores import COLUMNS
from segunc.plan.jobs import jobs_of
from segunc.runtime.stage import _parser
from segunc.workflow.snakemake_internals import parse

for command in json.load(sys.stdin):
    module, task, *options = shlex.split(command)
    _parser(importlib.import_module(module).main.__wrapped__).parse_args(options)
parsed = parse(sys.argv[1:])
jobs = jobs_of(parsed.rules, parsed.targets)
facts = {
    "columns": COLUMNS,
    "summary": list(tables.summary([], {})),
    "edges": sorted({(jobs[need].rule, job.rule) for job in jobs for need in job.needs}),
    "outputs": [[job.rule, path] for job in jobs for path in [*job.outputs, job.record]],
}
print(json.dumps(facts))
"""
"""Run in the copy: checks that each command fits its program, and prints what else the tests look at."""


def change(checkout: Path, edits: list[Edit]) -> None:
    for file, before, after, imports in edits:
        path = checkout / file
        if not before:
            path.parent.mkdir(parents=True, exist_ok=True)
            if after:
                assert not path.exists(), f"{file} is not new"
                path.write_text(after)
            continue
        text = path.read_text()
        assert text.count(before) == 1, f"{file} has {text.count(before)} times: {before}"
        text = text.replace(before, after)
        path.write_text(text.replace("\nfrom segunc", f"\n{imports}\nfrom segunc", 1) if imports else text)


def python(checkout: Path, *arguments: str, stdin: str = "") -> str:
    """Output of this Python with the copy's segunc, in the folder of the copy."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=checkout, env=environment, input=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr if "snakemake" in arguments else done.stdout


class Changed(NamedTuple):
    """The copy after all recipes."""

    checkout: Path
    jobs: Counter[str]
    """Per rule, of a dry run."""
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    checkout = tmp_path_factory.mktemp("recipes")
    copy(checkout)
    for edits in RECIPES.values():
        change(checkout, edits)
    (checkout / SCHEMA).write_text(python(checkout, "-m", "segunc.config.schema"))
    output = python(checkout, "-m", "snakemake", "--cores", "2", "--dry-run", "--printshellcmds")
    table = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    # One command per rule, without what the shell does with its output.
    start = r"^Shell command: python -m segunc\.runtime\.start (.*?)(?: 2>&1 \| tee| > \S+ 2>&1)"
    commands = re.findall(start, output, flags=re.MULTILINE)
    of_modules = {command.split()[0]: command for command in commands}
    facts = python(checkout, "-c", FACTS, stdin=json.dumps(list(of_modules.values())))
    return Changed(checkout, Counter({rule: int(count) for rule, count in table}), json.loads(facts))


def copy(checkout: Path) -> None:
    """What Snakemake and segunc read of the checkout."""
    for name in ("src", "workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("Snakefile", CONFIG):
        shutil.copy(ROOT / name, checkout / name)


def steps_of(recipe: str) -> list[str]:
    """The numbered steps of a recipe in CONTRIBUTING.md."""
    section = CONTRIBUTING.read_text().split(f"\n### {recipe}\n")[1].split("\n##")[0]
    return re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]


def test_every_recipe_is_carried_out() -> None:
    titles = re.findall(r"^### (.*)$", CONTRIBUTING.read_text(), flags=re.MULTILINE)
    assert titles == list(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_steps_are_those_that_were_carried_out(recipe: str) -> None:
    steps = steps_of(recipe)
    assert len(steps) == len(RECIPES[recipe]) <= MOST.get(recipe, 5)
    for step, edit in zip(steps, RECIPES[recipe], strict=True):
        named = re.match(r"`([^`]+)`", step)
        assert named, step
        pattern = re.sub(r"<\w+>", r"\\w+", re.escape(named[1]).replace(r"\<", "<").replace(r"\>", ">"))
        assert re.fullmatch(pattern, edit.file), (step, edit.file)


def test_each_extension_has_its_jobs(changed: Changed) -> None:
    """Datasets phantom_lung, few and many; models unet, coin and mirror, which shares coin's training; three seeds."""
    trained, cells = 3 * 2 * 3, 3 * 3 * 3
    expected = {"prepare": 4, "train": trained, "sample": cells, "calibrate": cells, "evaluate": cells}
    expected |= {"baselines": 9, "tabulate": 1, "plot_dice_by_model": 1}
    # Strategies random and last, which need no model, in three rounds of each seed.
    expected |= {"active_start": 3, "active_acquire": 18, "active_acquire_with_model": 0}
    assert {rule: changed.jobs[rule] for rule in expected} == expected


def test_the_stage_is_between_sample_and_evaluate(changed: Changed) -> None:
    edges = {(before, after) for before, after in changed.facts["edges"]}
    readers = {after for before, after in edges if before == "calibrate"}
    assert readers == {"evaluate", "plot_uncertainty_maps", "plot_sampled_masks", "assemble"}
    assert {after for before, after in edges if before == "sample"} == {"calibrate"}


def test_groups_of_the_cluster_have_no_gap(changed: Changed) -> None:
    """Snakemake cannot run a group if a job outside of it stands between two of its members."""
    profile = yaml.safe_load((changed.checkout / "profiles/slurm/config.yaml").read_text())
    group_of = profile["groups"]
    for group in set(group_of.values()):
        members = [profile["set-resources"].get(rule, {}) for rule, its_group in group_of.items() if its_group == group]
        assert len({member.get("slurm_partition") for member in members}) == 1, "a group has one partition"
    after: dict[str, set[str]] = {}
    for before, following in changed.facts["edges"]:
        after.setdefault(before, set()).add(following)

    def reached(rules: set[str]) -> set[str]:
        found: set[str] = set()
        while rules:
            found |= rules
            rules = {following for rule in rules for following in after.get(rule, set())} - found
        return found

    for rule, group in group_of.items():
        for outside in {following for following in after[rule] if group_of.get(following) != group}:
            assert group not in {group_of.get(later) for later in reached({outside})}, f"{outside} is in no group"


def test_files_of_the_extensions(changed: Changed) -> None:
    outputs = [(rule, path) for rule, path in changed.facts["outputs"]]
    assert all(path.startswith("elsewhere/") for _, path in outputs)
    for scoring in ("evaluate", "baselines"):
        folders = [path.rpartition("/")[0] for rule, path in outputs if rule == scoring and "/scores/" in path]
        assert set(Counter(folders).values()) == {5}
        assert {f"{folder}/votes.csv" for folder in folders} <= {path for _, path in outputs}
    assert ("tabulate", "elsewhere/tables/images_per_cell.csv") in outputs
    assert ("plot_dice_by_model", "elsewhere/figures/dice_by_model.pdf") in outputs


def test_the_metric_and_the_column_are_in_their_tables(changed: Changed) -> None:
    columns = changed.facts["columns"]
    assert columns[columns.index("foreground_share") + 1] == "iou"
    assert changed.facts["summary"][-1] == "seed_max"


def test_editors_know_the_options(changed: Changed) -> None:
    schema = json.loads((changed.checkout / SCHEMA).read_text())
    found = [
        (rule["if"]["properties"], *rule["then"]["properties"]["options"]["properties"])
        for owner in ("Dataset", "Model", "Strategy")
        for rule in schema["$defs"][owner]["allOf"]
    ]
    assert ({"method": {"const": "coin"}}, "bias") in found
    assert ({"method": {"const": "mirror"}}, "of", "flip") in found
    assert ({"format": {"const": "blank"}}, "count") in found
    assert ({"method": {"const": "last"}}, "reverse") in found
