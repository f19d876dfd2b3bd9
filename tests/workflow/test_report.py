"""The report in the workflow: when it is made again, and that Snakemake's own report leads to it."""

import json
import re
from pathlib import Path

from helpers.workflow import Study

from segunc.page.specs import asset_digests


def test_snakemakes_report_leads_to_the_page(study: Study, tmp_path: Path) -> None:
    report = tmp_path / "snakemake.html"
    done = study.run("results/report.html", "--report", str(report))
    assert done.returncode == 0, done.stderr
    text = report.read_text(encoding="utf-8")
    assert "results/report.html" in text and "The report: open this first" in text


def test_it_is_made_again_when_what_it_shows_changes(study: Study) -> None:
    """A caption, the style, the config; not the folders of this machine, nor a dataset that the grid does not have."""
    for file in (
        "workflow/report/ged_by_samples.rst",
        "workflow/report/tables/missing.rst",
        "src/segunc/page/page.css",
    ):
        path = study.checkout / file
        before = path.read_text(encoding="utf-8")
        path.write_text(before + " \n", encoding="utf-8")
        try:
            assert study.scheduled() == {"assemble": 1}
        finally:
            path.write_text(before, encoding="utf-8")
    options = {"kind": "skin", "patients": 9, "images_per_patient": 1, "size": 8}
    other = {"other": {"label": "Other", "format": "phantom", "options": options, "size": 8}}
    assert study.scheduled(datasets=other) == {}
    assert study.scheduled(overlay={**study.grid, "keep_gb": 3}) == {}


def test_facts_of_the_run(study: Study) -> None:
    text = (study.folder / "results/report.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr><td>(\w+)</td><td>(\d+)</td>", text)
    jobs = {name: int(count) for name, count in rows}
    assert jobs["train"] == jobs["evaluate"] == 4 and jobs["prepare"] == 2 and jobs["active_train"] == 6
    record = json.loads((study.folder / "results/records/train/lidc/unet/seed0.json").read_text())
    assert f"<dd>{record['versions']['torch']}</dd>" in text
    spec = json.loads((study.folder / "results/records/assemble/all.json").read_text())["spec"]
    assert spec["assets"] == asset_digests() and "raw_folders" not in spec["config"]
    assert set(spec["config"]["datasets"]) == {"phantom_lung", "lidc"}
