"""Names and config files of any kind in the real workflow: ids, seeds, labels, YAML."""

import re
from pathlib import Path

import pytest
from helpers.workflow import ROOT, TINY, in_fork, merged, scheduled, snakemake

# The longest that Snakemake does not take for an endless recursion, and what YAML or pandas could take for no text.
IDS = ["true", "inf", "x" * 19, "ab" * 19, "q" + "abc" * 19, "a" * 18 + "_" + "b" * 19 + "c" * 19]


def test_ids_and_seeds_of_any_kind_can_be_scheduled(tmp_path: Path) -> None:
    overlay = merged(
        TINY,
        models={name: {"label": name, "method": "unet"} for name in IDS},
        strategies={name: {"label": name, "method": "entropy"} for name in IDS},
        grid={"datasets": ["phantom_lung"], "models": IDS, "seeds": [1111111111, 2**32 - 1]},
        active={
            "datasets": ["phantom_lung"],
            "models": IDS[:2],
            "strategies": IDS,
            "seeds": [4242424242],
            "rounds": 1,
        },
    )
    jobs = scheduled(tmp_path, overlay=overlay)
    assert jobs["train"] == 2 * len(IDS) and jobs["active_acquire_with_model"] == 2 * len(IDS)


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("grid: {seeds: [1]}\ndraws: 16\ngrid: {models: [unet]}\n", [], "config key grid is given twice in "),
        ("draws: 010\n", [], "is 010, which YAML reads as 8; "),
        ("draws: 16\n", ["--config", "grid={seeds: [1], seeds: [2]}"], "config key seeds is given twice in --config "),
    ],
)
def test_what_yaml_would_drop_ends_the_run(tmp_path: Path, text: str, arguments: list[str], sentence: str) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(text)
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--configfile", str(overlay)]
    done = in_fork("snakemake", ["data", "--dry-run", *arguments, *where], ROOT)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert done.returncode == 1 and len(errors) == 1
    assert errors[0].startswith("segunc: ") and sentence in errors[0]


def test_a_label_is_no_script_in_the_report(tmp_path: Path) -> None:
    label = "</script><script>alert(1)</script><!--"
    of_skin = {"phantom_skin": {**TINY["datasets"]["phantom_skin"], "label": label}}
    overlay = merged(TINY, datasets=of_skin, grid={"datasets": ["phantom_skin"]})
    figure = "results/figures/contact_sheet_phantom_skin.png"
    report = tmp_path / "report.html"
    for arguments in ([], ["--report", str(report)]):
        done = snakemake(tmp_path, figure, *arguments, overlay=overlay)
        assert done.returncode == 0, done.stderr
    page = report.read_text()
    assert r"\\u003cscript>alert(1)" in page
    assert not re.search("<script>alert|<!--", page)
