"""docs/measures.md and the columns of `images.csv`."""

import re

import pytest
from helpers.workflow import ROOT

from segunc.evaluation.scores import SCORES
from segunc.metrics.registry import METRICS

TEXT = (ROOT / "docs/measures.md").read_text(encoding="utf-8")


def names_in(heading: str) -> tuple[str, ...]:
    """`a`, `b_{c,d}`: a, b_c, b_d."""
    found = re.findall(r"`(\w+?)(?:\{([\w,]+)\})?`", heading)
    return tuple(f"{stem}{end}" for stem, ends in found for end in ends.split(","))


SECTIONS = {
    names_in(heading): body
    for heading, body in re.findall(r"^### (.*)\n((?:- .*\n(?:  .*\n)*)+)", TEXT, flags=re.MULTILINE)
}
ITEMS = ("Formula", "Range", "Direction", "Floor", "Empty masks", "One annotator", "Source")
DIRECTIONS = {True: "higher is better", False: "lower is better", None: "neither"}


def test_every_column_has_one_section() -> None:
    assert sorted(name for names in SECTIONS for name in names) == sorted(SCORES)


@pytest.mark.parametrize("names", SECTIONS, ids=lambda names: names[0])
def test_a_section_says_what_the_record_says(names: tuple[str, ...]) -> None:
    items = dict(re.findall(r"^- ([\w ]+): (.*(?:\n  .*)*)", SECTIONS[names], flags=re.MULTILINE))
    assert [name for name in items if name != "Undefined"] == list(ITEMS)
    for metric in (METRICS[name] for name in names if name in METRICS):
        assert items["Direction"].startswith(DIRECTIONS[metric.higher_is_better]), metric.name
        of_images = metric.undefined is not None or metric.name == "truth_rmse"
        assert ("Undefined" in items) == of_images or metric.name == "ged_1", metric.name
    if first := METRICS.get(names[0]):
        assert re.match(rf"{first.low:.3g} to {first.high:.3g}\b", items["Range"]), items["Range"]
