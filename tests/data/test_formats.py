import shutil
import zipfile
from itertools import pairwise

import numpy as np
import pytest
from helpers.config import read_config
from helpers.raw_data import save, zipped
from PIL import Image

from segunc.catalogue.options import available, options_of
from segunc.config.schema import FORMAT
from segunc.data.formats import isic_challenge, lidc_slices, phantom
from segunc.data.phantoms import choice, lung, skin
from segunc.data.phantoms.canvas import canvas
from segunc.data.phantoms.lesion import annotators, outline, probability
from segunc.data.store import Dropped, ImageRecord
from segunc.metrics.ged import distances, u_statistic
from segunc.metrics.levels import level_sets
from segunc.runtime.errors import UserError


def split_dropped(entries) -> tuple[list[ImageRecord], list[Dropped]]:
    entries = list(entries)
    return [e for e in entries if isinstance(e, ImageRecord)], [e for e in entries if isinstance(e, Dropped)]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert type(a) is type(b)
        assert a.image_id == b.image_id
        if isinstance(a, ImageRecord):
            np.testing.assert_array_equal(a.image, b.image)
            for mask, other in zip(a.masks, b.masks, strict=True):
                np.testing.assert_array_equal(mask, other)


def test_options_are_readable_from_the_source():
    assert {"folder", "isic_challenge", "isic_multi", "lidc_slices", "phantom"} <= set(available(FORMAT[0]))
    for name in available(FORMAT[0]):
        for field in options_of(FORMAT[0], name, FORMAT[1]).model_fields.values():
            assert field.description


LAST = "LIDC-IDRI-0003/nodule-0"
GREY = np.eye(20, dtype=np.uint8)


def remove(*paths):
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def rename(path, new):
    path.rename(path.with_name(new))


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


BAD_LIDC = pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(
            lambda f: remove(f / LAST / "images/slice-4.png"),
            "mask-0/slice-4.png in .* is a mask without an image",
            id="mask without image",
        ),
        pytest.param(
            lambda f: remove(*(f / LAST).glob("mask-*/slice-4.png")),
            "images/slice-4.png in .* has no mask-0;",
            id="image without masks",
        ),
        pytest.param(
            lambda f: remove(f / LAST / "mask-2/slice-4.png"),
            "images/slice-4.png in .* has no mask-2;",
            id="missing slot",
        ),
        pytest.param(
            lambda f: remove(*f.glob("*/*/mask-*")),
            "slice-0.png in .* has no mask-0;",
            id="no masks at all",
        ),
        pytest.param(
            lambda f: save(f / LAST / "mask-1/slice-4.png", np.zeros((20, 21), np.uint8)),
            "0003/nodule-0/mask-1/slice-4.png is 21x20 pixels, but its image is 20x20",
            id="mask of another size",
        ),
        pytest.param(
            lambda f: save(f / LAST / "mask-1/slice-4.png", 128 * GREY),
            "0003/nodule-0/mask-1/slice-4.png has the values 0, 128, but a mask has only 0 and 255",
            id="grey mask",
        ),
        pytest.param(
            lambda f: save(f / LAST / "mask-1/slice-4.png", 254 * GREY + 1),
            "mask-1/slice-4.png has the values 1, 255",
            id="mask of 1 and 255",
        ),
        pytest.param(
            lambda f: save(f / LAST / "mask-1/slice-4.png", GREY[..., None] * np.array([0, 0, 255], np.uint8)),
            "mask-1/slice-4.png has several channels",
            id="colour mask",
        ),
        pytest.param(
            lambda f: save(f / LAST / "images/slice-4.png", GREY[..., None] * np.array([0, 0, 255], np.uint8)),
            "0003/nodule-0/images/slice-4.png has the colour mode RGB, but 8-bit grey",
            id="colour image",
        ),
        pytest.param(
            lambda f: save(f / LAST / "images/slice-4.png", np.zeros((20, 20), np.uint16)),
            "images/slice-4.png has the colour mode I;16",
            id="16-bit image",
        ),
        pytest.param(
            lambda f: cut(f / LAST / "images/slice-4.png", 90),
            "0003/nodule-0/images/slice-4.png cannot be read as an image",
            id="corrupt image",
        ),
        pytest.param(
            lambda f: (f / LAST / "mask-1/slice-4.png").write_bytes(b"not an image"),
            "0003/nodule-0/mask-1/slice-4.png cannot be read as an image",
            id="corrupt mask",
        ),
        pytest.param(
            lambda f: [save(f / name / LAST / "images/slice-4.png", k + GREY) for k, name in enumerate("ab")],
            f"{LAST}/images/slice-4.png and a/{LAST}/images/slice-4.png and b/{LAST}/images/slice-4.png in .* have the "
            "same id, but differ; keep one file per id.$",
            id="same slice three times",
        ),
        *(
            pytest.param(
                lambda f, new=new: [rename(file, new) for file in (f / LAST).rglob("slice-4.png")],
                rf"has 5 file\(s\) other than <patient>/nodule.*, such as LIDC-IDRI-0003/nodule-0/.*/{new}; rename",
                id=new,
            )
            for new in ("Slice-4.png", "slice-4.jpg", "slice_4.png", "slice-4", "slice-4.png.part")
        ),
        pytest.param(
            lambda f: (f / LAST / "mask-0").rename(f / LAST / "Mask-0"), r"has 11 .* /?such as .*Mask-0", id="Mask-0"
        ),
        pytest.param(
            lambda f: remove(*f.glob("LIDC*")),
            "LIDC-IDRI-slices has no <patient>/nodule-<n>/images/slice-<k>.png",
            id="empty folder",
        ),
    ],
)


class TestLidcSlices:
    def test_contents(self, lidc_folder):
        records, dropped = split_dropped(lidc_slices.read(slices=lidc_folder))
        assert dropped == [("LIDC-IDRI-0001/nodule-0/slice-10", "nobody marked anything")]
        expected = [f"LIDC-IDRI-{p:04}/nodule-0/slice-{k}" for p in (1, 2, 3) for k in range(11) if (p, k) != (1, 10)]
        assert [record.image_id for record in records] == expected
        record = records[9]
        assert record.group_id == "LIDC-IDRI-0001/nodule-0"
        assert record.patient_id == "LIDC-IDRI-0001"
        assert record.image.shape == (1, 20, 20) and record.image.dtype == np.uint8
        picture = Image.open(lidc_folder / "LIDC-IDRI-0001/nodule-0/images/slice-9.png")
        np.testing.assert_array_equal(record.image[0], np.array(picture))
        assert [mask.sum() for mask in record.masks] == [8, 12, 0, 0]
        assert all(mask.dtype == np.uint8 and mask.max() <= 1 for mask in record.masks)

    def test_folder_parent_and_zip_are_the_same(self, lidc_folder):
        entries = list(lidc_slices.read(slices=lidc_folder))
        assert_same(entries, lidc_slices.read(slices=zipped(lidc_folder)))
        (lidc_folder.parent / "LIDC-IDRI-slices.zip").unlink()
        assert_same(entries, lidc_slices.read(slices=lidc_folder.parent))

    def test_several_archives_are_read_as_one(self, lidc_folder):
        entries = list(lidc_slices.read(slices=lidc_folder))
        second = lidc_folder.parent / "LIDC-IDRI-slices-2"
        # One patient is in the second archive alone, one in both.
        shutil.copytree(lidc_folder / "LIDC-IDRI-0003", second / "LIDC-IDRI-0003")
        shutil.move(lidc_folder / "LIDC-IDRI-0001", second / "LIDC-IDRI-0001")
        assert_same(entries, lidc_slices.read(slices=[zipped(lidc_folder), second]))
        save(second / "LIDC-IDRI-0003/nodule-0/images/slice-0.png", GREY)
        with pytest.raises(UserError, match=r"slices.zip/.*0003.*slice-0.png and LIDC-IDRI-slices-2/.* but differ"):
            list(lidc_slices.read(slices=[lidc_folder.with_suffix(".zip"), second]))
        with pytest.raises(UserError, match="is the second of that name"):
            list(lidc_slices.read(slices=[second, second]))

    def test_masks_of_zero_and_one(self, lidc_folder):
        entries = list(lidc_slices.read(slices=lidc_folder))
        for file in lidc_folder.glob("*/*/mask-*/*.png"):
            save(file, np.array(Image.open(file)) // 255)
        assert_same(entries, lidc_slices.read(slices=lidc_folder))

    def test_capital_suffixes_and_copies_are_the_same(self, lidc_folder):
        entries = list(lidc_slices.read(slices=lidc_folder))
        shutil.copytree(lidc_folder / LAST, lidc_folder / "copy" / LAST)
        for suffix, file in zip((".PNG", ".Png"), sorted(lidc_folder.glob(f"{LAST}/*/slice-4.png")), strict=False):
            rename(file, f"slice-4{suffix}")
        assert_same(entries, lidc_slices.read(slices=lidc_folder))

    def test_what_people_add(self, lidc_folder):
        entries = list(lidc_slices.read(slices=lidc_folder))
        for name in ("meta.csv", "Notes/read me.PDF", ".ipynb_checkpoints/slice-1-checkpoint.png", "license"):
            (lidc_folder / name).parent.mkdir(parents=True, exist_ok=True)
            (lidc_folder / name).write_text("something")
        save(lidc_folder / LAST / "@eaDir/slice-1.png/SYNOPHOTO_THUMB_S.png", GREY)
        zipped(lidc_folder)  # beside the folder
        assert_same(entries, lidc_slices.read(slices=lidc_folder.parent))
        (lidc_folder.parent / "another.zip").write_bytes(b"")
        with pytest.raises(UserError, match=r"such as another.zip; rename or remove"):
            list(lidc_slices.read(slices=lidc_folder.parent))

    @BAD_LIDC
    def test_bad_input(self, lidc_folder, spoil, sentence):
        spoil(lidc_folder)
        with pytest.raises(UserError, match=sentence) as error:
            list(lidc_slices.read(slices=lidc_folder))
        assert "\n" not in str(error.value)

    def test_bad_zips(self, lidc_folder):
        path = zipped(lidc_folder)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(UserError, match=r"LIDC-IDRI-slices.zip is neither a folder nor a complete zip archive"):
            list(lidc_slices.read(slices=path))
        for patient in lidc_folder.glob("LIDC*"):
            shutil.rmtree(patient)
        with pytest.raises(UserError, match=r"LIDC-IDRI-slices.zip has no <patient>/nodule-<n>/images"):
            list(lidc_slices.read(slices=zipped(lidc_folder)))

    def test_real_data(self, lidc_zip):
        records, dropped = split_dropped(lidc_slices.read(slices=lidc_zip))
        assert len(records) + len(dropped) == 2501
        assert len(dropped) == 4
        assert len({record.patient_id for record in records}) == 150
        assert {record.image.shape for record in records} == {(1, 128, 128)}
        empty = 1 - np.mean([[mask.any() for mask in record.masks] for record in records], axis=0)
        np.testing.assert_allclose(empty, [0.15, 0.31, 0.38, 0.55], atol=0.02)

    def test_real_folder_and_zip_are_the_same(self, lidc_zip, tmp_path):
        with zipfile.ZipFile(lidc_zip) as opened:
            patients = sorted({name.split("/")[1] for name in opened.namelist() if name.endswith(".png")})[:2]
            opened.extractall(tmp_path, [n for n in opened.namelist() if n.split("/")[1] in patients])
        from_folder = list(lidc_slices.read(slices=tmp_path / "LIDC-IDRI-slices"))
        from_zip = lidc_slices.read(slices=lidc_zip)
        assert from_folder
        assert_same(from_folder, [next(from_zip) for _ in from_folder])


class TestIsicChallenge:
    def test_contents(self, isic_folders):
        images, masks = isic_folders
        records = list(isic_challenge.read(images=images, masks=masks))
        assert [record.image_id for record in records] == [f"ISIC_{k:07}" for k in range(4)]
        assert all(record.image_id == record.group_id == record.patient_id for record in records)
        picture = np.array(Image.open(images / "ISIC_0000001.jpg"))
        np.testing.assert_array_equal(records[1].image, picture.transpose(2, 0, 1))
        assert [len(record.masks) for record in records] == [1, 1, 3, 1]
        assert records[2].masks[1] is None
        assert all(
            mask.shape == (24, 32) and mask.sum() == 192 for r in records for mask in r.masks if mask is not None
        )

    def test_folders_zips_and_their_parent_are_the_same(self, isic_folders):
        images, masks = isic_folders
        records = [r._replace(masks=r.masks[:1]) for r in isic_challenge.read(images=images, masks=masks)]
        parent = images.parent
        for sources in ((parent, parent), (zipped(images), zipped(masks))):
            again = isic_challenge.read(images=sources[0], masks=sources[1])
            assert_same(records, [r._replace(masks=r.masks[:1]) for r in again])

    @pytest.mark.parametrize("mode", ["L", "P"])
    def test_grey_and_palette_images_become_rgb(self, isic_folders, mode):
        images, masks = isic_folders
        picture = Image.open(images / "ISIC_0000000.jpg").convert(mode)
        (images / "ISIC_0000000.jpg").unlink()
        picture.save(images / "ISIC_0000000.png")
        record = next(isic_challenge.read(images=images, masks=masks))
        np.testing.assert_array_equal(record.image.transpose(1, 2, 0), np.array(picture.convert("RGB")))

    def test_capital_suffixes_copies_and_other_tasks(self, isic_folders):
        images, masks = isic_folders
        records = list(isic_challenge.read(images=images, masks=masks))
        rename(images / "ISIC_0000001.jpg", "ISIC_0000001.JPG")
        rename(masks / "ISIC_0000001_segmentation.png", "ISIC_0000001_Segmentation.PNG")
        shutil.copy(images / "ISIC_0000003.jpg", images / "ISIC_0000003.jpeg")
        for folder, name in ((images, "superpixels.png"), (masks, "attribute_globules.png"), (masks, "features.json")):
            save(folder / "x.png", GREY)
            rename(folder / "x.png", f"ISIC_0000001_{name}")
        assert_same(records, isic_challenge.read(images=images, masks=masks))

    def test_cmyk_is_refused(self, isic_folders):
        images, masks = isic_folders
        Image.open(images / "ISIC_0000003.jpg").convert("CMYK").save(images / "ISIC_0000003.jpg")
        with pytest.raises(
            UserError, match=r"^ISIC_0000003.jpg has the colour mode CMYK, but 8-bit RGB is needed; convert it.$"
        ):
            list(isic_challenge.read(images=images, masks=masks))

    @pytest.mark.parametrize(
        ("spoil", "sentence"),
        [
            (lambda i, m: (i / "ISIC_0000001.jpg").unlink(), r"ISIC_0000001_segmentation.png in .* has no image in"),
            (lambda i, m: (m / "ISIC_0000001_segmentation.png").unlink(), r"ISIC_0000001.jpg in .* has no mask in"),
            (lambda i, m: [f.unlink() for f in i.glob("*.jpg")], r"Training_Input has no <id>.jpg"),
            (lambda i, m: [f.unlink() for f in m.glob("*.png")], r"GroundTruth has no <id>_segmentation.png"),
            (
                lambda i, m: shutil.copy(i / "ISIC_0000002.jpg", i / "ISIC_0000001.jpeg"),
                r"0001.jpeg and ISIC_0000001.jpg in .* have the same id",
            ),
            (lambda i, m: save(i / "ISIC_0000009.tif", GREY), r"Input has 1 .* than <id>.jpg .* ISIC_0000009.tif"),
            *(
                (lambda i, m, new=new: rename(m / "ISIC_0000002_segmentation_3.png", new), rf"Truth has 1 .* as {new};")
                for new in ("x_segmentation_3.tif", "ISIC_0000002_mask.png", "ISIC_0000002_segmentation_0.png")
            ),
            (
                lambda i, m: save(m / "ISIC_0000002_segmentation_3.png", np.zeros((32, 24), np.uint8)),
                r"ISIC_0000002_segmentation_3.png is 24x32 pixels, but its image is 32x24",
            ),
            (
                lambda i, m: save(m / "ISIC_0000002_segmentation_1.png", np.zeros((24, 32), np.uint8)),
                r"have the same id",
            ),
        ],
    )
    def test_bad_input(self, isic_folders, spoil, sentence):
        spoil(*isic_folders)
        with pytest.raises(UserError, match=sentence) as error:
            list(isic_challenge.read(images=isic_folders[0], masks=isic_folders[1]))
        assert "\n" not in str(error.value)

    def test_real_data(self, isic_zips):
        records = isic_challenge.read(images=isic_zips[0], masks=isic_zips[1])
        count = 0
        for record in records:
            count += 1
            assert record.image.shape == (3, 192, 256)
            assert [mask.any() for mask in record.masks] == [True]
        assert count == 1297

    def test_real_folder_and_zip_are_the_same(self, isic_zips, tmp_path):
        for path in isic_zips:
            with zipfile.ZipFile(path) as opened:
                opened.extractall(tmp_path / path.stem, [name for name in opened.namelist() if "/ISIC_000000" in name])
        from_folder = list(isic_challenge.read(images=tmp_path / isic_zips[0].stem, masks=tmp_path / isic_zips[1].stem))
        from_zip = isic_challenge.read(images=isic_zips[0], masks=isic_zips[1])
        assert from_folder
        assert_same(from_folder, [next(from_zip) for _ in from_folder])


def lung_lesions():
    """Slices through nodules of various kinds, some of them hard to see."""
    for seed in range(6):
        rng, on = np.random.default_rng(seed), canvas(32)
        machine, nodule = lung.scanner(rng), lung.nodule(rng)
        around = lung.surroundings(rng, on, nodule)
        yield lung.paint(rng, on, machine, around, nodule, height=rng.uniform(-0.8, 0.8))[1]


def skin_lesions():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        yield skin.paint(rng, canvas(32), skin.tone(rng))[1]


class TestPhantom:
    @pytest.mark.parametrize(("lesions", "slots"), [(lung_lesions, 4), (skin_lesions, 1)])
    def test_true_probability_is_the_frequency_of_marks(self, lesions, slots):
        for lesion in lesions():
            rng = np.random.default_rng(1)
            masks = np.array([[outline(lesion, one) for one in annotators(rng, slots)] for _ in range(1500)])
            # What the data keep: images that somebody marked. The slots of one image depend on each other then.
            kept = masks[masks.any(axis=(1, 2, 3))].mean(axis=1)
            truth = probability(lesion, slots)
            error = np.abs(kept.mean(axis=0) - truth)
            assert (error <= 5 * np.sqrt(truth * (1 - truth) / len(kept)) + 5 / len(kept)).all()

    def test_who_votes_marks_something(self):
        for lesion in lung_lesions():
            rng = np.random.default_rng(2)
            for one in annotators(rng, 300):
                assert outline(lesion, one).any() == (one.attention < lesion.visible)

    @pytest.mark.parametrize("kind", ["lung", "skin", "choice"])
    def test_probability_fits_the_masks_of_a_whole_dataset(self, kind):
        records, _ = split_dropped(phantom.read(kind=kind, patients=60, images_per_patient=8, size=24))
        surplus: dict[str, float] = {}
        for record in records:
            assert record.image.shape == ({"lung": 1, "skin": 3, "choice": 1}[kind], 24, 24)
            assert record.image.dtype == np.uint8
            assert record.probability.min() >= 0 and record.probability.max() <= 1
            difference = np.mean(record.masks) - record.probability.mean()
            surplus[record.group_id] = surplus.get(record.group_id, 0) + difference
        per_group = np.array(list(surplus.values()))
        assert abs(per_group.sum()) < 4 * np.sqrt((per_group**2).sum())

    def test_lung_annotators_disagree(self):
        records, dropped = split_dropped(phantom.read(kind="lung", patients=100, images_per_patient=4, size=16))
        votes = np.array([[mask.any() for mask in record.masks] for record in records])
        assert votes.any(axis=1).all()
        assert 0.2 < 1 - votes.mean() < 0.45
        assert np.bincount(votes.sum(axis=1))[1:].min() > 0.1 * len(votes)
        assert 0 < len(dropped) < 0.4 * 400
        assert {entry.reason for entry in dropped} == {"nobody marked anything"}

    def test_lung_annotators_are_exchangeable(self):
        records, _ = split_dropped(phantom.read(kind="lung", patients=400, images_per_patient=1, size=12))
        votes = np.array([[mask.any() for mask in record.masks] for record in records])
        standard_error = np.sqrt(votes.mean() * (1 - votes.mean()) / len(votes))
        np.testing.assert_allclose(votes.mean(axis=0), votes.mean(), atol=4 * standard_error)

    def test_slices_of_a_nodule_are_alike(self):
        records, _ = split_dropped(phantom.read(kind="lung", patients=12, images_per_patient=8, size=32))
        pixels = np.array([record.image.ravel() for record in records], float)
        groups = np.array([record.group_id for record in records])
        alike = np.array([np.corrcoef(a, b)[0, 1] for a, b in pairwise(pixels)])
        neighbours = groups[1:] == groups[:-1]
        assert np.median(alike[neighbours]) > np.median(alike[~neighbours]) + 0.3

    def test_ids_and_counts(self):
        entries = list(phantom.read(kind="lung", patients=2, images_per_patient=11, size=16))
        assert len(entries) == 22
        records, _ = split_dropped(entries)
        assert {r.patient_id for r in records} <= {"phantom-lung-0000", "phantom-lung-0001"}
        assert {r.group_id for r in records} <= {f"phantom-lung-{p:04}/nodule-{n}" for p in (0, 1) for n in (0, 1)}
        assert len({r.image_id for r in records}) == len(records)
        skins = list(phantom.read(kind="skin", patients=3, images_per_patient=2, size=16))
        assert [r.image_id for r in skins[:2]] == ["phantom-skin-0000/lesion-0", "phantom-skin-0000/lesion-1"]
        assert len(skins) == 6

    def test_the_true_distribution_of_a_choice_is_found_by_the_id(self):
        on = canvas(32)
        for record in phantom.read(kind="choice", patients=2, images_per_patient=2, size=32, seed=7):
            of = choice.scene_of(record.image_id, 7)
            truth = choice.probability(on, of)
            np.testing.assert_array_equal(truth, record.probability)
            masks = choice.masks(np.random.default_rng(3), on, of, 4000)
            error = np.abs(masks.mean(axis=0) - truth)
            assert (error <= 5 * np.sqrt(truth * (1 - truth) / 4000) + 5 / 4000).all()
            # One disc or the other, each as often; and sideways, not outwards: all areas are equal but for the pixels.
            areas = masks.sum(axis=(1, 2))
            assert areas.std() < 0.08 * areas.mean()
            centre = (masks * on.x).sum(axis=(1, 2)) / areas
            assert abs((centre < of.centres[:, 1].mean()).mean() - 0.5) < 0.04

    def test_level_sets_of_the_true_probability_of_a_choice_lose_to_the_true_distribution(self):
        """The numbers of docs/data.md, on the dataset of the catalogue."""
        options = read_config()["datasets"]["phantom_choice"]["options"]
        on, rng, scores = canvas(options["size"]), np.random.default_rng(4), []
        for record in phantom.read(**options):
            masks, levels = np.stack(record.masks), level_sets(record.probability)
            sampled = choice.masks(rng, on, choice.scene_of(record.image_id, 0), 64)
            found = distances(sampled, masks, exact=False), distances(levels, masks, exact=True)
            scores.append([u_statistic(one) for one in found])
        perfect, of_levels = np.mean(scores, axis=0)
        assert perfect == pytest.approx(0.17, abs=0.01)
        assert of_levels == pytest.approx(0.55, abs=0.01)

    @pytest.mark.parametrize("kind", ["lung", "skin", "choice"])
    def test_a_patient_depends_on_seed_and_number_alone(self, kind):
        few, more, other = (
            list(phantom.read(kind=kind, patients=patients, images_per_patient=3, size=16, seed=seed))
            for patients, seed in ((2, 5), (4, 5), (2, 6))
        )
        assert_same(few, more[: len(few)])
        few, _ = split_dropped(few)
        other, _ = split_dropped(other)
        assert not np.array_equal(few[0].image, other[0].image)
