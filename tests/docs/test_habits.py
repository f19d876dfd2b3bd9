"""What changelog, citation, hooks and documentation promise, compared with the code."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from helpers.documents import DOCUMENTS, prose, read
from helpers.workflow import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RULES = {
    name
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for name in re.findall(r"^(?:use rule \w+ as|rule) (\w+)", path.read_text(), flags=re.MULTILINE)
}
STYLE = ("ruff", "snakefmt", "mypy", "snakemake --lint")


def sentences(document: Path) -> list[str]:
    """The lines that are neither in a table nor in a code block."""
    return [line for line in prose(document).splitlines() if not line.startswith(("|", "!["))]


def test_hooks_are_the_style_checks_of_ci() -> None:
    in_ci = [line for line in read(".ci/run").splitlines() if line.startswith(STYLE)]
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == in_ci
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)
    assert "\n".join(in_ci) in read("CONTRIBUTING.md")


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert (citation["version"], citation["license"]) == (PYPROJECT["project"]["version"], "Apache-2.0")
    assert citation["references"][0]["authors"][0]["family-names"] == "Czolbe"


def test_each_entry_of_the_changelog_tells_what_reruns() -> None:
    entries = re.split(r"^## ", read("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    assert entries[0].startswith("[Unreleased]")
    assert entries[1].startswith(f"[{PYPROJECT['project']['version']}]")
    assert all("### What reruns\n" in entry for entry in entries)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_one_sentence_per_line(document: Path) -> None:
    for line in sentences(document):
        assert len(line) <= 100, line
        text = re.sub(r"^\d+\. ", "", line.strip()).replace("Prob. U-Net", "Prob U-Net")
        assert not re.search(r"[a-z0-9)`]\. [A-Z`]", text), line


def anchors(document: Path) -> set[str]:
    """The names by which links reach the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", read(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_names_in_the_documentation_exist(document: Path) -> None:
    text = read(document)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (ROOT / document.parent / link).exists(), link
    for link, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        assert heading in anchors(document.parent / link if link else document), (link, heading)
    for path in re.findall(r"`((?:src|tests|workflow|profiles|docs|envs|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m (segunc[\w.]+)", text):
        assert (ROOT / "src" / module.replace(".", "/")).with_suffix(".py").exists(), module
    if document.name != "CHANGELOG.md":
        old = r"train_model|make_tables|pick_with|active_test|active_tables|plot_samples|provenance|longest chain"
        assert not re.search(old, text), re.search(old, text)


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^\| (.+?) \|", read("docs/glossary.md").split("|---|")[1], flags=re.MULTILINE)
    assert terms == sorted(terms, key=str.lower) and len(terms) >= 20


def test_profiles_name_rules_that_exist() -> None:
    for path in (ROOT / "profiles").glob("*/config.yaml"):
        profile = yaml.safe_load(path.read_text())
        hints = re.findall(r"^#   (\w+): \d+$", path.read_text(), flags=re.MULTILINE)
        named = {*profile.get("set-resources", {}), *profile.get("groups", {}), *profile.get("set-threads", {}), *hints}
        assert named and named <= RULES, named - RULES
