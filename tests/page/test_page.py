"""Texts, tables and facts of the report."""

import doctest
from pathlib import Path

import pytest

from segunc.page import browser, facts, render, tables, text
from segunc.runtime import records
from segunc.runtime.errors import UserError
from segunc.runtime.records import Record


@pytest.mark.parametrize("module", [browser, render, text])
def test_examples_in_docstrings(module) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_caption_is_that_of_snakemakes_report() -> None:
    html = text.caption("Images of {{ snakemake.wildcards.dataset }}\nby ``votes``.", {"dataset": "a<b"})
    assert html == "<p>Images of a&lt;b\nby <code>votes</code>.</p>\n"


def test_a_table_keeps_ids_and_loads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text("model,mean,n_images\nNA,,3\ntrue,12345.678,4\n</script><b>,1e-9,5\n", encoding="utf-8")
    table = tables.read(file, "rows-some")
    assert (table.rows, table.shown, table.columns) == (3, 3, 3)
    assert r"[[\"NA\", \"___NaN___\", 3], [\"true\", 12345.678, 4]" in table.html
    assert "</script><b>" not in table.html
    assert "src=" not in table.html + tables.library()


def test_a_long_table_is_shown_in_part(tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    file.write_text("x\n" + "1\n" * (tables.MOST + 1), encoding="utf-8")
    table = tables.read(file, "rows-long")
    assert (table.rows, table.shown) == (tables.MOST + 1, tables.MOST)
    with pytest.raises(UserError, match="does not exist"):
        tables.read(tmp_path / "none.csv", "rows-none")


def record(job: str, finished: str, *needs: str, seconds: float = 1, torch: str = "2.0") -> Record:
    inputs = {f"file {need}": {"identity": need, "sha256": 64 * "0"} for need in needs}
    cost = {"seconds": seconds, "cpu_seconds": seconds / 2, "max_rss_mb": 10 * seconds}
    libraries = {"torch": torch, "PIL": "13"}
    return Record({}, {}, libraries, finished, [], identity=job, inputs=inputs, job=job, cost=cost)


def test_facts_are_those_of_the_results_and_of_nothing_else(tmp_path: Path) -> None:
    all_records = [
        record("prepare/a", "2026-01-01T00:00:00+00:00"),
        record("train/a/0", "2026-01-03T00:00:00+00:00", "prepare/a", seconds=2),
        record("train/a/1", "2026-01-02T00:00:00+00:00", "prepare/a", seconds=3, torch="2.1"),
        record("train/old", "2025-01-01T00:00:00+00:00", seconds=1000, torch="1.0"),
        record("tabulate/all", "2026-01-04T00:00:00+00:00", "train/a/0", "train/a/1"),
    ]
    for one in all_records:
        records.write(tmp_path / f"{one.job}.json", one)
    found = facts.behind(tmp_path, ["tabulate/all", "unknown"])
    assert [one.job for one in found] == ["prepare/a", "train/a/1", "train/a/0", "tabulate/all"]
    assert facts.steps(found)[1] == facts.Step("train", 2, 5, 2.5, 30)
    assert facts.versions(found) | {"segunc": ""} == {"segunc": "", "torch": "2.0, 2.1", "pillow": "13"}
    assert facts.machine()


def test_labels_and_messages_stay_text() -> None:
    """A page with little on it, whose texts try to be scripts."""
    evil = "</script><script>alert(1)</script>"
    models = [{"samples": 1, "outcomes": [], "scores": {}}]
    tested = browser.Tested({"images": {"id": [evil]}, "models": models}, [["AA=="]], [["AA=="]])
    table = tables.Table("<table></table>", 0, 0, 0)
    page = render.Page(
        answer=text.to_html(evil),
        further=[text.Part(evil, "")],
        claims="",
        claim_by_claim=[],
        tested=[render.TestedView(evil, [evil], tested)],
        scores=browser.SCORES,
        outcomes=browser.OUTCOMES,
        figures=[render.FigureView("x", evil, evil, text.caption(evil, {}), "AA==", "x.pdf")],
        tables=[render.TableView("x", "", table, "x.csv")],
        library="",
        missing=[(evil, evil)],
        config={"grid": {"seeds": [0]}, "active": {"seeds": []}, "label": evil},
        seed=0,
        versions={"segunc": evil},
        commit=evil,
        machine=evil,
        steps=[],
        first="",
        last="",
    )
    html = render.render(page)
    assert "<script>alert" not in html and html.count("alert(1)") > 8
    assert "<strong>1 result is missing.</strong>" in html
