import json

import h5py
import numpy as np
import pytest
from helpers.figures import NARROW, WIDTH, assert_readable, spec_of, words
from helpers.study import SHAPE, run, write_dataset

from segunc.data.overview import read_images
from segunc.data.store import ImageRecord, write_store
from segunc.figures import contact_sheet


def sheet(path, title="Phantom lung", width=WIDTH):
    images, spec = read_images(path), spec_of({}, width=width)
    shown = contact_sheet.load(path, images, contact_sheet.columns_of(spec))
    notes = {split: contact_sheet.describe(images[images["part"] == split]) for split in shown}
    return contact_sheet.plot(shown, notes, spec, title)


@pytest.mark.parametrize(("annotators", "images"), [(1, 2), (1, 60), (4, 9), (4, 60), (7, 30)])
def test_readable(tmp_path, annotators, images):
    write_dataset(tmp_path / "data.h5", annotators=annotators, images=images)
    figure = sheet(tmp_path / "data.h5")
    assert_readable({"sheet": figure})
    assert_readable({"sheet": sheet(tmp_path / "data.h5", width=NARROW)}, NARROW)
    assert len(figure.axes) == sum(min(images, rows * contact_sheet.COLUMNS) for rows in contact_sheet.ROWS.values())
    text = words(figure)
    assert [word for word in text if word in contact_sheet.NAMES.values()] == ["Training", "Validation", "Test"]
    assert any(word.startswith(f"{images} images\n") for word in text)


def test_folds_have_a_row_each(tmp_path):
    mask = np.ones(SHAPE, np.uint8)
    names = [str(k) for k in range(60)]
    records = [ImageRecord(np.full((1, *SHAPE), k, np.uint8), [mask], k, k, k) for k in names]
    write_store(tmp_path / "data.h5", records, lambda patients, published: [int(k) % 6 for k in names], {})
    figure = sheet(tmp_path / "data.h5")
    assert_readable({"sheet": figure})
    assert len(figure.axes) == 6 * contact_sheet.COLUMNS
    text = words(figure)
    assert [word for word in text if word.startswith("Fold")] == [f"Fold {k}" for k in range(6)]
    assert text.count("10 images\n10 patients\n100.0% foreground") == 6


def test_exclusions_and_remarks_are_below_the_title(tmp_path, monkeypatch):
    exclusions = {"nobody marked anything": 1200, "slice that is not there": 1}
    write_dataset(tmp_path / "plain.h5", images=9)
    write_dataset(tmp_path / "odd.h5", images=9, exclusions=exclusions)
    long = f"identical to an image of another patient, kept in the same split ({', '.join(['ward-3/image-1'] * 9)})"
    with h5py.File(tmp_path / "odd.h5", "a") as file:
        file.attrs["remarks"] = json.dumps({long: 18, "odd": 1})
    figures = {}
    monkeypatch.setattr(contact_sheet.style, "save", lambda figure, png, pdf: figures.update({png.stem: figure}))
    for name in ("plain", "odd"):
        spec, png = json.dumps(spec_of({})), tmp_path / f"{name}.png"
        run(contact_sheet, monkeypatch, dataset=name, data=tmp_path / f"{name}.h5", spec=spec, png=png, pdf=png)
    assert_readable(figures)
    plain, odd = (words(figure) for figure in figures.values())
    [added] = [word for word in odd if word not in [*plain, "odd"]]
    lines = added.splitlines()
    assert lines[0] == "left out: 1,200 (nobody marked anything), 1 (slice that is not there)"
    assert "".join(lines[1:-1]).replace(" ", "") == f"18 images: {long}".replace(" ", "") and len(lines) > 3
    assert lines[-1] == "1 image: odd"


def test_captions_have_annotators_and_share(tmp_path):
    half = np.zeros(SHAPE, np.uint8)
    half[:, :3] = 1
    records = [
        ImageRecord(np.zeros((1, *SHAPE), np.uint8), masks, name, name, name, "test")
        for name, masks in {"a": [half, 0 * half], "b": [half, None], "c": [0 * half, 0 * half]}.items()
    ]
    write_store(tmp_path / "data.h5", records, lambda patients, published: published, {})
    text = words(sheet(tmp_path / "data.h5"))
    assert [word for word in text if "of 2," in word] == ["1 of 2, 17%\na", "0 of 2, 0%\nc"]
    assert [word for word in text if "of 1," in word] == ["1 of 1, 33%\nb"]
    assert "Test" in text and "Training" not in text
    assert "3 images\n3 patients\n16.7% foreground" in text


def test_shown_are_those_that_the_store_has_there(tmp_path):
    write_dataset(tmp_path / "data.h5", images=30)
    images = read_images(tmp_path / "data.h5")
    shown = contact_sheet.load(tmp_path / "data.h5", images)
    for split, examples in shown.items():
        rows = images[images["part"] == split].set_index("image_id")
        assert [int(example.image[0, 0, 0]) for example in examples] == [
            rows.index.get_loc(e.image_id) for e in examples
        ]
        assert [example.positive_annotators for example in examples] == [rows["votes"][e.image_id] for e in examples]
        np.testing.assert_allclose(
            [example.annotations.mean() for example in examples], [rows["foreground"][e.image_id] for e in examples]
        )
        positive_annotators = [example.positive_annotators for example in examples]
        assert positive_annotators == sorted(positive_annotators, reverse=True) and positive_annotators[0] == 4


def test_program_writes_the_same_bytes_each_time(tmp_path, monkeypatch):
    write_dataset(tmp_path / "lung.h5", images=9)
    written = []
    for folder in ("first", "second"):
        png, pdf = tmp_path / folder / "figure.png", tmp_path / folder / "figure.pdf"
        spec = json.dumps(spec_of({"datasets": {"lung": "A $ lung"}}))
        options = {"dataset": "lung", "data": tmp_path / "lung.h5", "spec": spec}
        run(contact_sheet, monkeypatch, **options, png=png, pdf=pdf)
        written.append((png.read_bytes(), pdf.read_bytes()))
        assert sorted(path.name for path in png.parent.iterdir()) == ["figure.pdf", "figure.png"]
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG") and written[0][1].startswith(b"%PDF")
