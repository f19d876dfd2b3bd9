import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from helpers.raw_data import save, zipped
from helpers.workflow import NO_ACTIVE_LEARNING, snakemake

from segunc.data import preparation
from segunc.data.archive import digest
from segunc.data.preparation import prepare
from segunc.data.store import CHUNK, ImageRecord, read_attributes, read_split
from segunc.runtime.errors import UserError

SPLIT = {"train": 0.34, "val": 0.33, "test": 0.33, "seed": 0}
FOLDS = {"folds": 5, "seed": 0}
SPEC = {"format": "lidc_slices", "options": {}, "size": 16, "resize": "crop", "split": SPLIT}
ISIC = {**SPEC, "format": "isic_challenge", "resize": "area"}


def run(spec: dict, output: Path, **raw: Path) -> subprocess.CompletedProcess:
    raw_arguments = [part for name, path in raw.items() for part in ("--raw", f"{name}={path}")]
    command = [
        sys.executable,
        "-m",
        "segunc.stages.prepare",
        "--spec",
        json.dumps(spec),
        *raw_arguments,
        "--store",
        output,
    ]
    return subprocess.run(command, capture_output=True, text=True)


def everything(path: Path):
    """All images of a store, in the order train, val, test."""
    parts = [read_split(path, split, 0) for split in ("train", "val", "test")]
    return [np.concatenate(columns) for columns in zip(*(part[:6] for part in parts), strict=True)]


def test_as_a_program(lidc_folder, tmp_path):
    output = tmp_path / "results" / "data" / "lidc.h5"
    done = run(SPEC, output, slices=lidc_folder)
    assert done.returncode == 0, done.stderr
    splits = r"lidc: train has \d+ images of 1 patient; val has \d+ images of 1 patient; "
    splits += r"test has \d+ images of 1 patient"
    rest = r"; 4 annotators, \d+% of masks empty; 1 dropped \(nobody marked anything\)\n"
    assert re.fullmatch(splits + rest, done.stdout)
    assert [file.name for file in output.parent.iterdir()] == ["lidc.h5"]
    attributes = read_attributes(output)
    assert attributes["spec"] == SPEC
    assert attributes["raw"] == {"slices": digest(lidc_folder)}
    assert attributes["exclusions"] == {"nobody marked anything": 1}
    images, masks, annotated, image_id, *_ = everything(output)
    assert images.shape == (32, 1, 16, 16) and masks.shape == (32, 4, 16, 16) and annotated.all()
    assert len(set(image_id)) == 32


def test_a_spoilt_folder_as_a_program(lidc_folder, tmp_path):
    save(lidc_folder / "LIDC-IDRI-0003/nodule-0/mask-1/slice-4.png", np.full((20, 20), 7, np.uint8))
    output = tmp_path / "results" / "lidc.h5"
    done = run(SPEC, output, slices=lidc_folder)
    assert done.returncode == 1
    assert done.stderr == (
        "segunc: LIDC-IDRI-0003/nodule-0/mask-1/slice-4.png has the values 7, "
        "but a mask has only 0 and 255 (or 0 and 1); threshold it.\n"
    )
    assert done.stdout == ""
    assert list(output.parent.iterdir()) == []


def test_a_truncated_zip_as_a_program(lidc_folder, tmp_path):
    path = zipped(lidc_folder)
    path.write_bytes(path.read_bytes()[:-100])
    done = run(SPEC, tmp_path / "results" / "lidc.h5", slices=path)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"segunc: {path} is neither a folder nor a complete zip archive nor a tar archive; fetch it again.\n"
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_nothing(tmp_path, how):
    output = tmp_path / "phantom.h5"
    options = {"kind": "skin", "patients": 100_000, "images_per_patient": 1, "size": 16, "seed": 0}
    spec = {**SPEC, "format": "phantom", "options": options}
    command = [sys.executable, "-m", "segunc.stages.prepare", "--spec", json.dumps(spec), "--store", output]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir())
    running.send_signal(how)
    assert running.wait(30) != 0
    assert list(tmp_path.iterdir()) == []


def test_folder_and_zip_give_the_same_store(isic_folders, tmp_path):
    images, masks = isic_folders
    prepare(ISIC, {"images": images, "masks": masks}, tmp_path / "a.h5")
    prepare(ISIC, {"images": zipped(images), "masks": zipped(masks)}, tmp_path / "b.h5")
    for a, b in zip(everything(tmp_path / "a.h5"), everything(tmp_path / "b.h5"), strict=True):
        np.testing.assert_array_equal(a, b)
    _, masks_of_all, annotated, image_id, *_ = everything(tmp_path / "a.h5")
    assert masks_of_all.shape == (4, 3, 16, 16)
    assert dict(zip(image_id, annotated.tolist(), strict=True))["ISIC_0000002"] == [True, False, True]
    assert annotated.sum() == 5


def test_phantoms_keep_their_truth(tmp_path):
    options = {"kind": "lung", "patients": 5, "images_per_patient": 4, "size": 16, "seed": 0}
    spec = {**SPEC, "format": "phantom", "options": options}
    prepare(spec, {}, tmp_path / "phantom.h5")
    truth = read_split(tmp_path / "phantom.h5", "train", 0).annotator_probability
    assert truth.shape[1:] == (16, 16) and 0 < truth.max() <= 1
    assert read_attributes(tmp_path / "phantom.h5")["raw"] == {}


def record(
    key: str, patient: str = "p", channels: int = 1, split: str | None = None, corner: bool = False
) -> ImageRecord:
    mask = np.zeros((40, 40), np.uint8)
    mask[:3, :3] = corner
    mask[18:22, 18:22] = not corner
    return ImageRecord(np.zeros((channels, 40, 40), np.uint8), [mask], key, key, patient, split)


def prepare_records(monkeypatch, output: Path, records: list[ImageRecord], **changes) -> None:
    fake = SimpleNamespace(read=lambda: iter(records))
    monkeypatch.setattr(preparation.importlib, "import_module", lambda name: fake)
    prepare({**SPEC, **changes}, {}, output)


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], "the raw data has no image with a foreground annotation"),
        ([record("a"), record("a")], "image a appears twice"),
        ([record("a"), record("b", channels=3)], r"image b has 3 channel\(s\), but the images before it have 1"),
        ([record("a"), record("b")], r"1 patient\(s\) cannot be split into train and val and test"),
        (
            [record("a", split="train"), record("b", split="test")],
            "patient p is in two splits, train and test",
        ),
        ([record("a", split="train"), record("b")], "an image of patient p is missing from the published split"),
        ([record("a", split="dev")], "patient p has the split 'dev'"),
        ([record("a", split="val"), record("b", "q", split="test")], "the published split has no train images"),
        ([record("a", split="train"), record("b", "q", split="val")], "the published split has no test images"),
    ],
)
def test_records_that_do_not_fit_together(monkeypatch, tmp_path, records, sentence):
    with pytest.raises(UserError, match=sentence):
        prepare_records(monkeypatch, tmp_path / "data.h5", records)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", [SPLIT, FOLDS])
def test_a_published_split_is_used(monkeypatch, tmp_path, split):
    """Instead of shares or folds, however few patients there are."""
    splits = {"a": "test", "b": "train", "c": "val", "d": "test"}
    records = [record(k, patient=k, split=s) for k, s in splits.items()]
    prepare_records(monkeypatch, tmp_path / "data.h5", records, split=split)
    for seed in (0, 1):
        assert read_split(tmp_path / "data.h5", "test", seed).image_id.tolist() == ["a", "d"]


def test_the_seeds_test_every_patient_once(monkeypatch, tmp_path):
    """The same ones whatever the order of the images; patients with identical images together."""
    records = [picture(str(k), f"p{k % 12}", k) for k in range(24)]
    records += [picture("a", "p3", 5), picture("b", "p8", 15)]
    tested = []
    for order in range(3):
        path = tmp_path / f"{order}.h5"
        shuffled = [records[k] for k in np.random.default_rng(order).permutation(len(records))]
        prepare_records(monkeypatch, path, shuffled, split=FOLDS)
        tested.append([set(read_split(path, "test", seed).patient_id.tolist()) for seed in range(5)])
        [(remark, count)] = read_attributes(path)["remarks"].items()
        assert remark.startswith("identical to an image of another patient, kept in the same split (") and count == 4
        assert preparation.summary(path).splitlines()[0] == (
            f"{order}: fold 0 has 8 images of 3 patients; fold 1 has 6 images of 3 patients; "
            "fold 2 has 4 images of 2 patients; fold 3 has 4 images of 2 patients; "
            "fold 4 has 4 images of 2 patients; 1 annotator, 0% of masks empty; none dropped"
        )
    assert tested[0] == tested[1] == tested[2]
    assert set().union(*tested[0]) == {f"p{k}" for k in range(12)} and sum(map(len, tested[0])) == 12
    assert any({"p3", "p5", "p8"} <= patients for patients in tested[0])


def test_too_few_patients_for_the_folds(monkeypatch, tmp_path):
    sentence = (
        r"^4 patient\(s\) cannot be dealt into 5 folds; add patients, or set fewer folds in the dataset's split\.$"
    )
    with pytest.raises(UserError, match=sentence):
        prepare_records(monkeypatch, tmp_path / "data.h5", [record(k, patient=k) for k in "abcd"], split=FOLDS)
    assert list(tmp_path.iterdir()) == []


def test_a_published_split_without_validation_images_is_noted(monkeypatch, tmp_path):
    records = [record("a", "p", split="train"), record("b", "q", split="test"), record("c", "r", split="test")]
    prepare_records(monkeypatch, tmp_path / "data.h5", records)
    assert preparation.summary(tmp_path / "data.h5") == (
        "data: train has 1 image of 1 patient; val has 0 images of 0 patients; test has 2 images of 2 patients; "
        "without val images, only active learning can train; "
        "1 annotator, 0% of masks empty; none dropped"
    )


def test_the_summary_counts_existing_masks_and_holds_few(monkeypatch, tmp_path):
    filled, empty = np.ones((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    votes = ([filled, empty], [None, filled], [filled, empty, empty])  # 3 of 6 are empty
    records = [record(str(k), str(k // 2))._replace(masks=votes[k % 3]) for k in range(60)]
    prepare_records(monkeypatch, tmp_path / "data.h5", records)
    sizes = []
    read = h5py.Dataset.__getitem__

    def watched(self, where):
        part = read(self, where)
        if self.name in ("/masks", "/images"):
            sizes.append(len(part))
        return part

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    assert preparation.summary(tmp_path / "data.h5") == (
        "data: train has 20 images of 10 patients; val has 20 images of 10 patients; "
        "test has 20 images of 10 patients; "
        "3 annotators, 50% of masks empty; none dropped"
    )
    assert sum(sizes) == 60 and max(sizes) <= CHUNK


def picture(key: str, patient: str, pixels: int, split: str | None = None, remarks=()) -> ImageRecord:
    """A record whose image is one of many, by the number `pixels`."""
    image = np.random.default_rng(pixels).integers(0, 256, (1, 40, 40), np.uint8)
    return record(key, patient, split=split)._replace(image=image, remarks=remarks)


def test_remarks_on_images_that_are_kept_are_counted(monkeypatch, tmp_path):
    records = [picture(str(k), str(k), k, remarks=("odd", "third")[: k % 3]) for k in range(9)]
    records.append(record("lost", "lost", corner=True)._replace(remarks=("odd",)))
    prepare_records(monkeypatch, tmp_path / "data.h5", records)
    assert read_attributes(tmp_path / "data.h5")["remarks"] == {"odd": 6, "third": 3}
    assert preparation.summary(tmp_path / "data.h5").splitlines()[1:] == ["  6 images: odd", "  3 images: third"]


def test_identical_images_tie_their_patients(monkeypatch, tmp_path):
    """By their raw pixels: `j` shows the same as `0`, but is another picture with a margin."""
    for seed in range(4):
        records = [picture(str(k), f"p{k % 10}", k) for k in range(20)]
        records += [picture("a", "p3", 5), picture("b", "p8", 15), picture("c", "p9", 9)]
        wide = np.pad(records[0].image, ((0, 0), (2, 2), (2, 2)))
        records += [records[0]._replace(image_id="j", patient_id="j", image=wide)]
        records = [records[k] for k in np.random.default_rng(seed).permutation(len(records))]
        prepare_records(monkeypatch, tmp_path / "data.h5", records)
        splits = {}
        for split in ("train", "val", "test"):
            part = read_split(tmp_path / "data.h5", split, 0)
            splits |= dict.fromkeys(part.patient_id.tolist(), split)
        assert splits["p3"] == splits["p5"] == splits["p8"]
        remarks = read_attributes(tmp_path / "data.h5")["remarks"]
        assert sorted(remarks.values()) == [2, 4]
        of_one, of_several = sorted(remarks, key=remarks.get)
        assert of_one.startswith("identical to another image of the same patient (") and "9" in of_one
        assert of_several.startswith("identical to an image of another patient, kept in the same split (")
        for names in ("5, a", "a, 5"), ("15, b", "b, 15"):
            assert any(name in of_several for name in names)


def test_identical_images_in_a_published_split_are_counted(monkeypatch, tmp_path):
    records = [picture("a", "p", 1, "train"), picture("b", "q", 2, "train"), picture("c", "r", 1, "test")]
    prepare_records(monkeypatch, tmp_path / "data.h5", records)
    assert read_split(tmp_path / "data.h5", "train", 0).image_id.tolist() == ["a", "b"]
    assert read_attributes(tmp_path / "data.h5")["remarks"] == {"identical to an image in another split (a, c)": 2}


def test_blank_images_are_no_duplicates(monkeypatch, tmp_path):
    prepare_records(monkeypatch, tmp_path / "data.h5", [record(k, patient=k) for k in "abc"])
    assert read_attributes(tmp_path / "data.h5")["remarks"] == {}


def test_identical_images_of_all_patients_cannot_be_split(monkeypatch, tmp_path):
    sentence = r"^4 patient\(s\) in 2 group\(s\) with identical images cannot be split into train and val and test"
    with pytest.raises(UserError, match=sentence):
        prepare_records(monkeypatch, tmp_path / "data.h5", [picture(str(k), str(k), k % 2) for k in range(4)])


@pytest.mark.parametrize("other", ["q0\u200b", "\ufeffq0", "q0\u00a0", "q\u00ad0"])
def test_patients_that_look_the_same_are_refused(monkeypatch, tmp_path, other):
    records = [picture(str(k), patient, k) for k, patient in enumerate(["q0", "q1", "q2", other])]
    with pytest.raises(UserError) as error:
        prepare_records(monkeypatch, tmp_path / "data.h5", records)
    assert str(error.value) == (
        f"image 3 has the patient {other!a}, another one 'q0', which look the same; "
        "give both the same id, or ids that differ visibly."
    )
    assert list(tmp_path.iterdir()) == []


def test_patients_that_look_similar_are_counted(monkeypatch, tmp_path):
    records = [picture(str(k), patient, k) for k, patient in enumerate(["q0", "Q0", "q1", "q2", "q0"])]
    prepare_records(monkeypatch, tmp_path / "data.h5", records)
    assert read_attributes(tmp_path / "data.h5")["remarks"] == {
        "the patient's id differs from another only in case, width or spaces (q0, Q0)": 3
    }


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\x1b[31m", "\x7f", "\ud800", "\u200b", "", "a" * 5000])
@pytest.mark.parametrize(("field", "what"), [("image_id", "id"), ("group_id", "group"), ("patient_id", "patient")])
def test_ids_that_are_not_readable_are_refused(monkeypatch, tmp_path, name, field, what):
    with pytest.raises(UserError) as error:
        prepare_records(monkeypatch, tmp_path / "data.h5", [picture("a", "p", 1)._replace(**{field: name})])
    sentence = str(error.value)
    assert sentence.endswith(f" has the {what} {name[:80]!a}, which is not readable text; correct it.")
    assert sentence.isprintable() and len(sentence) < 500


def test_a_csv_with_a_control_character(tmp_path):
    for k in range(4):
        save(tmp_path / "mine" / "images" / f"{k}.png", np.full((8, 8), k, np.uint8))
        save(tmp_path / "mine" / "masks" / f"{k}.png", np.full((8, 8), 255, np.uint8))
    table = 'image,patient\n0,a\n1,b\n2,c\n3,"d\te"\n'
    (tmp_path / "patients.csv").write_text(table)
    raw = {"data": tmp_path / "mine", "patients": tmp_path / "patients.csv"}
    spec = {**SPEC, "format": "folder", "options": {"channels": 1}, "size": 8}
    with pytest.raises(
        UserError, match=r"^image '3' has the patient 'd\\te', which is not readable text; correct it.$"
    ):
        prepare(spec, raw, tmp_path / "data.h5")


def images_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def touched(folder: Path) -> None:
    path = images_of(folder)[-1]
    path.write_bytes(path.read_bytes())


def removed(folder: Path) -> None:
    (folder / "ATTRIBUTION.txt").unlink()
    for path in folder.glob("LIDC-IDRI-0003/nodule-0/*/slice-9.png"):
        path.unlink()


def added(folder: Path) -> None:
    for path in folder.glob("LIDC-IDRI-0003/nodule-0/*/slice-9.png"):
        shutil.copy(path, path.with_name("slice-11.png"))


def replaced(folder: Path) -> None:
    """By a copy with the same time stamps, which an edit and its undoing leave."""
    path = images_of(folder)[0]
    shutil.copy2(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


@pytest.mark.parametrize("change", [touched, removed, added, replaced])
def test_raw_data_that_changes_while_it_is_read(lidc_folder, monkeypatch, tmp_path, change):
    """The store would be of neither the one nor the other."""
    output = tmp_path / "results" / "data.h5"
    resized = preparation.resized

    def with_a_change(*arguments):
        records = resized(*arguments)
        yield next(records)
        change(lidc_folder)
        with suppress(UserError):  # for files that are gone
            yield from records

    monkeypatch.setattr(preparation, "resized", with_a_change)
    with pytest.raises(UserError, match=r"^the raw data in .*LIDC-IDRI-slices changed while it was read; run again.$"):
        prepare(SPEC, {"slices": lidc_folder}, output)
    assert list(output.parent.iterdir()) == []


def test_raw_data_that_is_not_what_the_job_was_planned_for(lidc_folder, tmp_path):
    """As when it is replaced while the workflow starts, and put back afterwards."""
    spec = {**SPEC, "raw": {"slices": digest(lidc_folder)}}
    prepare(spec, {"slices": lidc_folder}, tmp_path / "data.h5")
    assert read_attributes(tmp_path / "data.h5")["raw"] == spec["raw"]
    before = (tmp_path / "data.h5").read_bytes()
    save(images_of(lidc_folder)[0], np.zeros((20, 20), np.uint8))
    with pytest.raises(UserError, match="changed while it was read; run again"):
        prepare(spec, {"slices": lidc_folder}, tmp_path / "data.h5")
    assert (tmp_path / "data.h5").read_bytes() == before


def test_what_operating_systems_add_is_no_change(lidc_folder, monkeypatch, tmp_path):
    resized = preparation.resized

    def with_a_change(*arguments):
        (lidc_folder / ".DS_Store").touch()
        yield from resized(*arguments)

    monkeypatch.setattr(preparation, "resized", with_a_change)
    prepare(SPEC, {"slices": lidc_folder}, tmp_path / "data.h5")


def test_the_same_raw_data_gives_the_same_bytes(lidc_folder, tmp_path):
    """Whenever it is prepared: starting Python takes over a second."""
    for name in ("a.h5", "b.h5"):
        assert run(SPEC, tmp_path / name, slices=lidc_folder).returncode == 0
    one, other = ((tmp_path / name).read_bytes() for name in ("a.h5", "b.h5"))
    assert one == other


@pytest.mark.parametrize("resize", ["crop", "area"])
def test_images_of_several_sizes(monkeypatch, tmp_path, resize):
    records = [record(k, patient=k) for k in "abc"]
    wide = np.full((1, 24, 50), 7, np.uint8)
    mask = np.zeros((24, 50), np.uint8)
    mask[6:18, 12:38] = 1
    records += [record("d", patient="d")._replace(image=wide, masks=[mask])]
    prepare_records(monkeypatch, tmp_path / "data.h5", records, resize=resize)
    images, masks, _, image_id, *_ = everything(tmp_path / "data.h5")
    assert images.shape == (4, 1, 16, 16)
    assert (images[image_id == "d"] == 7).all() and masks[image_id == "d"].any()


@pytest.mark.parametrize(("size", "resize"), [(16, "crop"), (2, "area")])
def test_marks_that_get_lost_are_counted(monkeypatch, tmp_path, size, resize):
    records = [record(k, patient=k, corner=k == "c") for k in "abcde"]
    if resize == "area":
        whole = np.ones((40, 40), np.uint8)
        records = [r if r.image_id == "c" else r._replace(masks=[whole]) for r in records]
    prepare_records(monkeypatch, tmp_path / "data.h5", records, size=size, resize=resize)
    assert sorted(everything(tmp_path / "data.h5")[3]) == ["a", "b", "d", "e"]
    assert list(read_attributes(tmp_path / "data.h5")["exclusions"].values()) == [1]


def test_crop_pads_images_with_their_minimum_and_masks_with_0(monkeypatch, tmp_path):
    small = [record(k, patient=k) for k in "abc"]
    small = [r._replace(image=np.full((1, 40, 40), 9, np.uint8), probability=np.ones((40, 40))) for r in small]
    prepare_records(monkeypatch, tmp_path / "data.h5", small, size=50)
    part = read_split(tmp_path / "data.h5", "test", 0)
    assert (part.images == 9).all()
    assert part.masks.sum() == 16 and part.annotator_probability.sum() == 1600


def test_missing_raw_data(tmp_path):
    sentence = r"nowhere cannot be opened \(No such file or directory\); put the raw data there.$"
    with pytest.raises(UserError, match=sentence):
        prepare(SPEC, {"slices": tmp_path / "nowhere"}, tmp_path / "data.h5")


def test_raw_data_that_cannot_be_read_has_one_sentence_before_any_job(tmp_path):
    """The workflow looks at raw data for its digest, in Snakemake's own process."""
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "mine" / "a.png").symlink_to("gone.png")
    mine = {"label": "Mine", "format": "folder", "options": {"data": "mine", "channels": 1}, "size": 8}
    overlay = {"grid": {"datasets": ["mine"], "models": ["unet"], "seeds": [0]}, "datasets": {"mine": mine}}
    overlay |= {"raw_folders": ["data"], "active": NO_ACTIVE_LEARNING}
    done = snakemake(tmp_path, "data", overlay=overlay)
    assert done.returncode == 1
    assert "segunc: data/mine/a.png cannot be read (No such file or directory); replace it.\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_patients_decide_the_split(lidc_folder, tmp_path):
    prepare(SPEC, {"slices": lidc_folder}, tmp_path / "a.h5")
    shutil.rmtree(lidc_folder / "LIDC-IDRI-0002/nodule-0/images")
    for file in lidc_folder.glob("LIDC-IDRI-0002/nodule-0/mask-*/*"):
        file.unlink()
    with pytest.raises(UserError, match=r"2 patient\(s\) cannot be split"):
        prepare(SPEC, {"slices": lidc_folder}, tmp_path / "b.h5")
