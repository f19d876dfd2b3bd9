"""Size of the report, time to make it and time to open it, with as many test images and models as LIDC-IDRI has.

The images are phantoms, and the predictions of each model are the true probabilities of their annotators, distorted by
smooth noise. The page has no figures and tables, which take 6 MB with the default grid. It is opened in
Chromium, if there is one, by a driver that waits for its first thumbnails.
"""

import argparse
import csv
import resource
import shutil
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter

from segunc.data.formats import phantom
from segunc.data.store import ImageRecord, write_store
from segunc.metrics.uncertainty import entropy
from segunc.page import browser, render

SAMPLES = 16


def write(folder: Path, images: int, models: int, size: int) -> tuple[Path, list[Path], list[Path]]:
    """A store of test images, and samples and scores of each model."""
    found: list[ImageRecord] = []
    for record in phantom.read(kind="lung", patients=images, images_per_patient=4, size=size):
        if isinstance(record, ImageRecord):
            found.append(record._replace(split="test"))
        if len(found) == images:
            break
    store = folder / "data.h5"
    write_store(store, found, lambda patients, published: [str(split) for split in published], {})
    ids = [record.image_id for record in found]
    truth = np.stack([np.asarray(record.probability, np.float32) for record in found])
    samples, scores = [], []
    for model in range(models):
        rng = np.random.default_rng(model)
        samples.append(folder / f"{model}.h5")
        _write_samples(samples[-1], ids, truth, rng)
        scores.append(folder / f"{model}.csv")
        with scores[-1].open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(
                file, ["image_id", "annotator_distance", *(score.name for score in browser.SCORES)], lineterminator="\n"
            )
            rows.writeheader()
            names = rows.fieldnames[1:]
            rows.writerows({"image_id": one, **{name: rng.random() for name in names}} for one in ids)
    return store, samples, scores


def _write_samples(path: Path, ids: list[str], truth: np.ndarray, rng: np.random.Generator) -> None:
    # A few fields of noise, each cut from a larger one, because smoothing takes longer than what is measured.
    height, width = truth.shape[1:]
    noise = 2 * gaussian_filter(rng.normal(size=(SAMPLES, 2 * height, 2 * width)).astype(np.float32), (0, 5, 5))
    with h5py.File(path, "w") as file:
        packed, means = [], np.empty_like(truth)
        for i, probability in enumerate(truth):
            top, left = rng.integers(height), rng.integers(width)
            draws = np.clip(probability + noise[:, top : top + height, left : left + width], 0, 1)
            means[i] = draws.mean(axis=0)
            packed.append(np.packbits((draws > 0.5).reshape(SAMPLES, -1), axis=-1))
        file["samples"], file["mean_probability"] = np.stack(packed), means
        maps = ("expected_entropy", "mutual_information", "expected_log_foreground", "expected_log_background")
        file["predictive_entropy"] = entropy(means).astype(np.float16)
        for name in maps:
            file.create_dataset(name, truth.shape, np.float16)
        file.create_dataset("image_id", data=ids, dtype=h5py.string_dtype())
        file.attrs["height"], file.attrs["width"] = truth.shape[1:]
        file.attrs["draws"] = "independent"


def page(folder: Path, images: int, models: int, size: int) -> Path:
    """Writes the page, and prints its size and what making it took."""
    inputs = write(folder, images, models, size)
    began, cpu = time.monotonic(), time.process_time()
    tested = browser.read(*inputs, seed=0)
    names = [f"Model {model + 1}" for model in range(models)]
    empty = dict.fromkeys(render.Page._fields, ())
    content = render.Page(
        **empty
        | {
            "answer": "<h1>Benchmark</h1>",
            "claims": "",
            "further": (),
            "tested": [render.TestedView("Phantom lung", names, tested)],
            "scores": browser.SCORES,
            "outcomes": browser.OUTCOMES,
            "library": "",
            "config": {"grid": {"seeds": [0]}, "active": {"seeds": []}},
            "seed": 0,
            "versions": {"segunc": ""},
            "commit": None,
            "machine": "",
            "first": "",
            "last": "",
        }
    )
    html = folder / "report.html"
    html.write_text(render.render(content), encoding="utf-8")
    print(
        f"{images} images of {size}x{size}, {models} models, tiles of {'x'.join(map(str, tested.data['tile']))}: "
        f"{html.stat().st_size / 1e6:.1f} MB, {time.monotonic() - began:.0f} s, CPU {time.process_time() - cpu:.0f} s, "
        f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB",
        flush=True,
    )
    return html


def opened(html: Path) -> None:
    """Prints how long Chromium takes to open the page, and to show its first thumbnails."""
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1366,768"):
        options.add_argument(word)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        for _ in range(3):
            driver.get("about:blank")
            began = time.monotonic()
            driver.get(html.as_uri())
            loaded = time.monotonic() - began
            driver.execute_script("document.getElementById('images').scrollIntoView()")
            WebDriverWait(driver, 60).until(
                lambda driver: [
                    image
                    for image in driver.find_elements(By.CSS_SELECTOR, ".thumbnail img")[:1]
                    if image.get_property("complete")
                ]
            )
            began_sort = time.monotonic()
            driver.execute_script(
                "const s=document.getElementById('sort');s.value='dice';s.dispatchEvent(new Event('change'))"
            )
            print(
                f"loaded after {loaded:.2f} s, thumbnails after {began_sort - began:.2f} s, "
                f"sorted in {time.monotonic() - began_sort:.2f} s"
            )
    finally:
        driver.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2500)
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--keep", type=Path, help="where to leave the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        html = page(Path(folder), options.images, options.models, options.size)
        if options.keep:
            shutil.copy(html, options.keep)
        if shutil.which("chromium") and shutil.which("chromedriver"):
            opened(html)
        else:
            print("there is no Chromium with a driver, so the page is not opened")


if __name__ == "__main__":
    main()
