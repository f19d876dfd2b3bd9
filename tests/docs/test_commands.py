"""Every command and example of the documentation, as users have them: without the dependencies of the tests.

Commands of `snakemake` are dry runs, but for those whose output a page shows. `segunc` runs on a finished study.
"""

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import snakemake.cli
import yaml
from helpers.config import merged, read_config
from helpers.documents import DOCUMENTS, Block, blocks, commands, prose, read
from helpers.raw_data import save
from helpers.without_extras import environment, of_tests_alone
from helpers.workflow import ROOT, TARGETS, Study, in_fork

from segunc.claims.table import CLAIMS
from segunc.commands.fetch import DATASETS
from segunc.commands.main import COMMANDS, WITH_SNAKEMAKE
from segunc.config.load import load_with_device

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
WRITTEN = [(block, words) for block in BLOCKS if block.language in ("bash", "console") for words in commands(block)]
CI = read(".ci/run")
IN_CI = "the CI runs it"
NOT_RUN = {
    "python3 -m venv .venv": IN_CI,
    ". .venv/bin/activate": IN_CI,
    "pip install -c envs/constraints.txt -e .": IN_CI,
    "pip install -c envs/constraints.txt -e '.[test]'": IN_CI,
    "pip install -c envs/constraints.txt -e '.[slurm]'": "needs a network; '.[test]' contains it",
    "pip install pre-commit": "needs a network",
    "pre-commit install": "changes the clone; its hooks are the CI's (test_habits.py)",
    "git clone URL segunc": "needs a network",
    "cd segunc": "only with the clone",
    "pytest": "runs the tests themselves; the CI does",
    "ruff check .": IN_CI,
    "ruff format --check .": IN_CI,
    "snakefmt --check Snakefile workflow": IN_CI,
    "mypy": IN_CI,
    "snakemake --lint": IN_CI,
    "python benchmarks/": "minutes to an hour",
    "python -m pstats": "reads what a benchmark wrote",
    "squeue": "needs a cluster",
    "tail -f": "ends only when it is stopped",
    "python examples/plain_torch.py": "test_your_model.py runs it, and what follows",
    "pip install monai==": "needs a network",
    "python examples/monai_unet.py": "MONAI is not installed here; docs/your-model.md says when it was run",
    "pip install nnunetv2==": "needs a network",
    "export nnUNet_": "only with nnU-Net",
    "cp nnUNet_": "only with nnU-Net",
    "nnUNetv2_": "nnU-Net is not installed here; test_imported.py has files of its shape",
}
"""Commands, or beginnings of them, that no test executes, and why."""


def reason_against(words: str) -> str | None:
    """Why a command is not executed; None if it is."""
    return next(
        (why for start, why in NOT_RUN.items() if words == start or (why != IN_CI and words.startswith(start))), None
    )


def clone_with(folder: Path, config: dict) -> Path:
    """A clone that shares its sources with this one, with a config."""
    folder.mkdir()
    for name in ("Snakefile", "workflow", "profiles", "src", "envs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone before its first run, with what the presets and docs/data.md read."""
    folder = clone_with(tmp_path_factory.mktemp("fresh") / "segunc", {**read_config(), "raw_folders": ["data"]})
    (folder / "data").mkdir()
    # Only that they are there, and their bytes, matters to a dry run.
    archives = ("LIDC-IDRI-slices", "LIDC-IDRI-slices-2")
    for name in (*archives, "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"):
        (folder / f"data/{name}.zip").touch()
    write_mine(folder)
    [overlay] = [block.text for block in BLOCKS if block.text.startswith("# compare.yaml\n")]
    (folder / "compare.yaml").write_text(overlay)
    for name in ("plain", "monai", "nnunet"):
        (folder / f"predictions/{name}").mkdir(parents=True)
    return folder


def write_mine(folder: Path) -> None:
    """`mine.yaml`, and ten images of ten people in the first of the ways that docs/data.md names."""
    [overlay] = [block.text for block in BLOCKS if block.text.startswith("# mine.yaml\n")]
    [layout] = [block.text for block in BLOCKS if block.text.startswith("mine/images/")]
    (folder / "mine.yaml").write_text(overlay)
    image, mask, *_, patients = (line.split()[0] for line in layout.splitlines())
    lines = ["image,patient"]
    for number in range(1, 11):
        person = f"p{number:02}"
        pixels = np.full((40, 40, 3), number, np.uint8)
        marked = np.zeros((40, 40), np.uint8)
        marked[10:30, 10:30] = 255
        save(folder / "data" / image.replace("p01", person), pixels)
        save(folder / "data" / mask.replace("p01", person), marked)
        lines.append(f"ward-3/{person},{person}")
    (folder / "data" / patients).write_text("\n".join(lines))


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the results of the study, whose overlay its default profile names."""
    folder = clone_with(tmp_path_factory.mktemp("finished") / "segunc", read_config())
    (folder / "study.yaml").write_text(yaml.safe_dump(study.grid))
    profile = f"{read('profiles/default/config.yaml')}configfile: study.yaml\n"
    (folder / "profiles").unlink()
    (folder / "profiles/default").mkdir(parents=True)
    (folder / "profiles/default/config.yaml").write_text(profile)
    shutil.copytree(study.folder / "results", folder / "results", symlinks=True)
    return folder


@cache
def dry_run(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a run would do; the same one is on several pages."""
    return as_users(f"{words} --dry-run", folder)


def as_users(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `snakemake ...` or `segunc ...` in a clone."""
    program, *arguments = shlex.split(words)
    module = {"snakemake": "snakemake", "segunc": "segunc.commands.main"}[program]
    return in_fork(module, arguments, folder, environment())


def test_each_block_has_a_known_language() -> None:
    assert {block.language for block in BLOCKS} == {"bash", "console", "python", "yaml", "text"}


def test_each_command_is_executed_or_has_a_reason() -> None:
    for _, words in WRITTEN:
        assert reason_against(words) or shlex.split(words)[0] in ("snakemake", "segunc"), words
    for start, why in NOT_RUN.items():
        assert any(words.startswith(start) for _, words in WRITTEN), f"no page has {start}"
        assert why != IN_CI or start in CI, start


EXECUTED = [
    block
    for block in BLOCKS
    if block.language == "bash" and not all(reason_against(words) for words in commands(block))
]


@pytest.mark.parametrize("block", EXECUTED, ids=lambda block: f"{block.document}: {next(commands(block))}")
def test_commands_of_a_block(block: Block, fresh: Path, request: pytest.FixtureRequest) -> None:
    """One after the other. `prepare` of a page on data runs; all else of `snakemake` would take too long."""
    for words in commands(block):
        if reason_against(words):
            continue
        of_results = words.startswith(
            ("segunc why", "segunc check", "segunc accept", "segunc tidy", "segunc export results/data/phantom")
        )
        folder = request.getfixturevalue("finished") if of_results and "--configfile" not in words else fresh
        runs = words.startswith("segunc") or block.document.stem == "data"
        done = as_users(words, folder) if runs else dry_run(words.removesuffix(" -n"), folder)
        nothing = words == "segunc accept" and done.stdout.startswith("Nothing to accept")
        assert done.returncode == 0 or nothing, done.stdout + done.stderr
        if words == "segunc inspect results/data/mine.h5":
            assert re.search(r"^patients( +2){5} +10$", done.stdout, flags=re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "console"], ids=lambda b: b.document.stem
)
def test_a_command_with_its_output(block: Block, tmp_path: Path) -> None:
    """Lines may be left out, and shortened by `...`."""
    [words] = commands(block)
    done = as_users(words, clone_with(tmp_path / "segunc", read_config()))
    found = done.stdout.splitlines()
    for line in filter(None, block.text.splitlines()[1:]):
        start = line.removesuffix("...")
        assert line in found if start == line else any(each.startswith(start) for each in found), line


def test_what_a_run_prints(finished: Path) -> None:
    """Except for numbers, the run of the quick start prints what a run does."""
    [block] = [one for one in blocks(Path("docs/quickstart.md")) if one.language == "text"]
    (finished / "results/answer.md").unlink()
    done = as_users("snakemake --cores 2", finished)
    assert done.returncode == 0, done.stderr
    job = re.compile(r"\d\d:\d\d:\d\d (start    |done     )\w+( \w+)*( seed \d+)?( \(.*\))?(; \d+ of \d+ jobs.*)?")
    claims = re.compile(r"- Claim (\w+): (.*)\.")
    printed = (done.stdout + done.stderr).splitlines()
    assert any(job.fullmatch(line) for line in printed)
    for line in filter(None, block.text.splitlines()):
        if said := claims.fullmatch(line):
            assert CLAIMS[said[1]].text == said[2]
        elif not (job.fullmatch(line) or line == "..." or line.startswith(("  - ", "- Phantom lung and"))):
            text = re.sub(r"^\d\d:\d\d:\d\d ", "", line)
            assert any(each.endswith(text) for each in printed), line
    assert "Nothing to be done" in dry_run("snakemake --cores 2", finished).stdout


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "yaml"], ids=lambda b: b.document.stem
)
def test_an_overlay(block: Block) -> None:
    load_with_device(merged(read_config(), yaml.safe_load(block.text)))


IN_TEXT = sorted(
    {words for document in DOCUMENTS for words in re.findall(r"`((?:snakemake|segunc) [^`:]+)`", prose(document))}
)


@pytest.mark.parametrize("words", IN_TEXT)
def test_a_command_in_the_text_has_arguments_that_exist(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments = [word for word in shlex.split(words) if word != "..."]
    if program == "segunc":
        command, *arguments = arguments
        assert command in COMMANDS
        if command == "fetch" and arguments:
            assert arguments[0] in {"NAME", *DATASETS}
        if command not in WITH_SNAKEMAKE:
            return
    try:
        parsed = snakemake.cli.parse_args(arguments)[-1]
    except SystemExit:
        pytest.fail(capsys.readouterr().err)
    for target in parsed.targets:
        assert target in TARGETS or "/" in target
    for file in parsed.configfile or []:
        assert Path(file).name in ("mine.yaml", "PATH") or Path(file).exists()


# Questions: a message, and a command that gives it in a clone without raw data.
MESSAGES = {
    "config key training.step is unknown": "snakemake -n --cores 2 --configfile typo.yaml",
    "config key grid is given twice": "snakemake -n --cores 2 --configfile twice.yaml",
    "FileNotFoundError: ... 'tables'": "snakemake -n --cores 2 --configfile workflow/presets/paper.yaml tables",
    "no such file or folder is in 'data'": "snakemake -n --cores 2 --configfile workflow/presets/paper.yaml",
}
FAQ = read("docs/faq.md")


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_questions(message: str, tmp_path: Path) -> None:
    assert f"### `{message}`" in FAQ
    folder = clone_with(tmp_path / "segunc", {**read_config(), "raw_folders": ["data"]})
    (folder / "typo.yaml").write_text("training: {step: 5}")
    (folder / "twice.yaml").write_text("grid: {seeds: [0]}\ngrid: {models: [unet]}")
    done = as_users(MESSAGES[message], folder)
    assert done.returncode
    for part in message.split("..."):
        assert part.strip() in done.stdout + done.stderr


def test_the_build_of_torch_is_the_pinned_one() -> None:
    [pinned] = re.findall(r"^torch==(\S+)$", read("envs/constraints.txt"), flags=re.MULTILINE)
    assert f"install torch {pinned} first" in read("docs/quickstart.md")


def test_benchmarks_have_the_options_that_are_named() -> None:
    for _, words in WRITTEN:
        if words.startswith("python benchmarks/"):
            path, *arguments = words.split()[1:]
            assert all(f'"{word}"' in read(path) for word in arguments if word.startswith("--")), words


def test_paths_in_commands_of_pytest_exist() -> None:
    for _, words in WRITTEN:
        if words.startswith("pytest"):
            assert all((ROOT / word).exists() for word in words.split() if word.startswith("tests/")), words


DOCTEST = """
import doctest, re

blocks = re.findall("^```python\\n(.*?)^```$", open(sys.argv[1]).read(), flags=re.MULTILINE | re.DOTALL)
page = doctest.DocTestParser().get_doctest("\\n".join(blocks), {}, "page", sys.argv[1], 0)
failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(page)
sys.exit(failed or not tried)
"""


def python(program: str, argument: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", f"import sys\n{program}", str(argument)]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment())


@pytest.mark.parametrize(
    "document", sorted({block.document for block in BLOCKS if block.language == "python"}), ids=str
)
def test_the_python_of_a_page(document: Path, study: Study) -> None:
    done = python(DOCTEST, ROOT / document, study.folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_absent_for_users(tmp_path: Path) -> None:
    """The programs that these tests start have what the package requires, and none of what the tests do."""
    assert {"pytest", "_pytest", "hypothesis", "mypy", "selenium", "trio", "black"} <= of_tests_alone()
    assert not {"numpy", "snakemake", "torch", "pygments", "packaging"} & of_tests_alone()
    done = python("import pytest", Path(), tmp_path)
    assert "No module named 'pytest'" in done.stderr
    assert python("import segunc, numpy, snakemake, torch", Path(), tmp_path).returncode == 0
