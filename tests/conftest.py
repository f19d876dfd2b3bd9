import os
import signal
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from helpers.raw_data import save, write_lidc_slices
from helpers.workflow import Study

# A busy machine is no reason to fail.
hypothesis.settings.register_profile("segunc", deadline=None)
hypothesis.settings.load_profile("segunc")

# `nohup` and a shell's `&` make programs ignore these signals, which the programs under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def raw_data_folder() -> Path:
    """The folder with real raw data: $SEGUNC_DATA, data/ or ../shared/data; skips where there is none."""
    named = os.environ.get("SEGUNC_DATA")
    for folder in ([Path(named)] if named else []) + [ROOT / "data", ROOT / "../shared/data"]:
        if any(folder.glob("LIDC-IDRI-slices*")) or any(folder.glob("ISIC2018_Task1*")):
            return folder
    pytest.skip("no real data in $SEGUNC_DATA, data/ or ../shared/data")


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A tiny study, run to the end once for all tests; each must leave it as it is, or continue a copy."""
    one = Study(tmp_path_factory.mktemp("study"))
    one.create()
    return one


@pytest.fixture(scope="session")
def lidc_zip(raw_data_folder) -> Path:
    return _existing(raw_data_folder / "LIDC-IDRI-slices.zip")


@pytest.fixture(scope="session")
def isic_zips(raw_data_folder) -> tuple[Path, Path]:
    return (
        _existing(raw_data_folder / "ISIC2018_Task1-2_Training_Input.zip"),
        _existing(raw_data_folder / "ISIC2018_Task1_Training_GroundTruth.zip"),
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


@pytest.fixture
def lidc_folder(tmp_path) -> Path:
    folder = tmp_path / "LIDC-IDRI-slices"
    write_lidc_slices(folder)
    return folder


@pytest.fixture
def isic_folders(tmp_path) -> tuple[Path, Path]:
    """Four images with one mask each, ISIC_0000002 with a third annotator's as well."""
    rng = np.random.default_rng(0)
    images = tmp_path / "ISIC2018_Task1-2_Training_Input"
    masks = tmp_path / "ISIC2018_Task1_Training_GroundTruth"
    mask = np.zeros((24, 32), np.uint8)
    mask[6:18, 8:24] = 255
    for k in range(4):
        save(images / f"ISIC_{k:07}.jpg", rng.integers(0, 256, (24, 32, 3), np.uint8), quality=95)
        save(masks / f"ISIC_{k:07}_segmentation.png", mask)
    save(masks / "ISIC_0000002_segmentation_3.png", mask)
    (images / "ATTRIBUTION.txt").write_text("somebody")
    return images, masks
