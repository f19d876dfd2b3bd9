"""Finding raw data: as distributed or unpacked, and what is reported if it is missing."""

import json
from pathlib import Path

import pytest
from helpers.config import read_config

from segunc.cells import Cell
from segunc.config import specs
from segunc.config.load import ConfigError, load
from segunc.config.raw_data import raw_data, raw_digests
from segunc.data.archive import digest


@pytest.fixture
def raw() -> dict:
    return read_config()


def test_several_archives_of_one_option(tmp_path):
    for name in ("one.zip", "two.zip"):
        (tmp_path / name).write_bytes(name.encode())
    options = {"slices": ["one.zip", "two.zip"]}
    raw = read_config()
    raw["raw_folders"] = [str(tmp_path)]
    raw["datasets"]["lidc"]["options"] = options
    config = load(raw)
    assert raw_data(config, "lidc") == {
        "slices": f"{tmp_path.as_posix()}/one.zip",
        "slices-2": f"{tmp_path.as_posix()}/two.zip",
    }
    (tmp_path / "two.zip").unlink()
    with pytest.raises(ConfigError, match=r"datasets.lidc.options.slices.1 is 'two.zip', but no such file"):
        raw_data(config, "lidc")


def test_missing_raw_data_names_key_and_folders(raw: dict) -> None:
    config = load({**raw, "raw_folders": ["nowhere"]})
    with pytest.raises(
        ConfigError, match=r"datasets\.lidc\.options\.slices is 'LIDC.* is in 'nowhere'; put it there or add"
    ):
        raw_data(config, "lidc")
    assert raw_data(config, "phantom_lung") == {}


def test_an_unreadable_folder(raw: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    config = load(raw | {"raw_folders": [str(tmp_path)]})
    monkeypatch.setattr(Path, "exists", refuse)
    sentence = "^config key datasets.lidc.options.slices is 'LIDC-IDRI-slices.zip', but .* cannot be opened "
    with pytest.raises(ConfigError, match=sentence + r"\(Permission denied\); make its folder readable.$"):
        raw_data(config, "lidc")


@pytest.mark.parametrize("name", ["a{b}", "{ dataset }", "a{0}", "{x.y}", "{w,[0-9]{3}}"])
def test_a_path_that_snakemake_takes_for_a_pattern(raw: dict, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "LIDC-IDRI-slices.zip").touch()
    config = load({**raw, "raw_folders": [str(folder)]})
    with pytest.raises(
        ConfigError, match=r"^config key datasets.lidc.options.slices .* for a wildcard; rename the file"
    ):
        raw_data(config, "lidc")


@pytest.mark.parametrize("name", ["a{b", "a}b", "{}", "{a-b}"])
def test_other_braces_in_a_path(raw: dict, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "LIDC-IDRI-slices.zip").touch()
    config = load({**raw, "raw_folders": [str(tmp_path / name)]})
    assert raw_data(config, "lidc") == {"slices": (tmp_path / name / "LIDC-IDRI-slices.zip").as_posix()}


def test_raw_data_is_found_as_distributed_and_unpacked(raw: dict, tmp_path: Path) -> None:
    config = load({**raw, "raw_folders": ["nowhere", str(tmp_path)]})
    (tmp_path / "LIDC-IDRI-slices").mkdir()
    assert raw_data(config, "lidc") == {"slices": f"{tmp_path.as_posix()}/LIDC-IDRI-slices"}
    (tmp_path / "LIDC-IDRI-slices.zip").touch()
    assert raw_data(config, "lidc") == {"slices": f"{tmp_path.as_posix()}/LIDC-IDRI-slices.zip"}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_raw_data_of_a_tar_is_found_unpacked(raw: dict, tmp_path: Path, suffix: str) -> None:
    raw["datasets"]["lidc"]["options"]["slices"] = f"release.v1{suffix}"
    config = load({**raw, "raw_folders": [str(tmp_path)]})
    (tmp_path / "release.v1").mkdir()
    assert raw_data(config, "lidc") == {"slices": f"{tmp_path.as_posix()}/release.v1"}


def test_the_digest_is_that_of_the_content(raw: dict, tmp_path: Path) -> None:
    config = load({**raw, "raw_folders": [str(tmp_path)]})
    path = tmp_path / "LIDC-IDRI-slices.zip"
    path.write_bytes(b"images")
    assert raw_digests(config, "lidc", tmp_path / "digests.json") == {"slices": digest(path)}
    assert raw_digests(config, "phantom_lung", tmp_path / "digests.json") == {}


def test_raw_data_that_may_be_left_out(raw: dict, tmp_path: Path) -> None:
    options = {"data": "mine", "channels": 1, "intensity": [-1000, 400]}
    raw["datasets"]["mine"] = {"label": "Mine", "format": "folder", "size": 64, "options": options}
    (tmp_path / "mine").mkdir()
    raw = {**raw, "raw_folders": [str(tmp_path)]}
    without = load(raw)
    assert raw_data(without, "mine") == {"data": f"{tmp_path.as_posix()}/mine"}

    options["patients"] = "patients.csv"
    config = load(raw)
    with pytest.raises(ConfigError, match=r"config key datasets.mine.options.patients is 'patients.csv', but no"):
        raw_data(config, "mine")
    (tmp_path / "patients.csv").touch()
    assert raw_data(config, "mine")["patients"] == f"{tmp_path.as_posix()}/patients.csv"
    texts = [specs.prepare(each, Cell("mine"), {}) for each in (without, config)]
    assert texts[0] == texts[1] and json.loads(texts[0])["options"] == {"channels": 1, "intensity": [-1000.0, 400.0]}
