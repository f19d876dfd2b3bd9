"""Overview of a dataset's store: a row per image, facts per split or fold, a description as text.

Masks are read a few at a time, so that the store may be larger than memory.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from segunc.data.hdf5 import open_hdf5
from segunc.data.store import CHUNK, parts_of, read_attributes, read_remarks

BLOCK = 2**26
"""Bytes of masks that are in memory at a time."""


def read_images(path: Path) -> pd.DataFrame:
    """One row per image, in the order of the store.

    Columns: image_id, group_id, patient_id; part (categorical: split or fold); annotators (masks that exist), votes (of
    these, the number that are not empty), foreground (share of the pixels in [0, 1], mean over the existing masks; NaN
    without one).

    Raises UserError if `path` is not a store.
    """
    with open_hdf5(path) as file:
        columns = {name: file[name].asstr()[:] for name in ("image_id", "group_id", "patient_id")}
        part_of, parts = parts_of(file)
        annotated = file["annotated"][:]
        masks = file["masks"]
        step = max(1, BLOCK // max(int(np.prod(masks.shape[1:])), 1) // CHUNK) * CHUNK
        blocks = (masks[start : start + step] for start in range(0, len(masks), step))
        marked = np.concatenate([block.sum(axis=(2, 3), dtype=np.int64) for block in blocks])
        pixels = int(np.prod(masks.shape[2:]))
    existing = annotated.sum(axis=1)
    return pd.DataFrame(
        {
            **columns,
            "part": pd.Categorical(part_of, parts),
            "annotators": existing,
            "votes": (marked > 0).sum(axis=1),
            "foreground": np.where(existing > 0, marked.sum(axis=1) / np.maximum(existing, 1) / pixels, np.nan),
        }
    )


def overview(images: pd.DataFrame) -> pd.DataFrame:
    """Facts (rows) of each part and of all images (columns), as text; `images` comes from `read_images`."""
    parts = {name: images[images["part"] == name] for name in images["part"].cat.categories} | {"all": images}
    counts = sorted(int(count) for count in images["annotators"].unique())
    return pd.DataFrame({name: _facts(part, counts) for name, part in parts.items()})


def _facts(images: pd.DataFrame, counts: list[int]) -> dict[str, str]:
    annotators, votes = images["annotators"], images["votes"]
    shares = images["foreground"].dropna()
    low, mean, high = (float(share) for share in (shares.quantile(0.05), shares.mean(), shares.quantile(0.95)))
    return {
        "images": f"{len(images):,}",
        "patients": f"{images['patient_id'].nunique():,}",
        "nodules or lesions": f"{images['group_id'].nunique():,}",
        **{f"images of {n} annotator{'s' * (n != 1)}": f"{(annotators == n).sum():,}" for n in counts},
        "images with no foreground annotation": f"{((votes == 0) & (annotators > 0)).sum():,}",
        "images with partial agreement": f"{((votes > 0) & (votes < annotators)).sum():,}",
        "masks": f"{annotators.sum():,}",
        "empty masks": _percent(1 - votes.sum() / annotators.sum()) if annotators.any() else "",
        "foreground pixels, mean": _percent(mean) if len(shares) else "",
        "foreground pixels, 5% to 95%": f"{_percent(low)} to {_percent(high)}" if len(shares) else "",
    }


def _percent(share: float) -> str:
    """Two significant digits below 10%, whole percent from there on."""
    percent = 100 * share
    return f"{percent:.0f}%" if percent >= 10 or percent == 0 else f"{percent:.2g}%"


def left_out(path: Path) -> str:
    """What `prepare` left out, as numbers and reasons; empty if nothing. Raises UserError if `path` is not a store."""
    exclusions = read_attributes(path).get("exclusions", {})
    return ", ".join(f"{count:,} ({reason})" for reason, count in exclusions.items())


def describe(path: Path) -> str:
    """A description of a store as readable text. Raises UserError if `path` is not a store."""
    images = read_images(path)
    with open_hdf5(path) as file:
        _, channels, height, width = file["images"].shape
        slots = file["masks"].shape[1]
    raw_format = read_attributes(path).get("spec", {}).get("format", "unknown")
    torn = int((images.groupby("patient_id")["part"].nunique() > 1).sum())
    lines = [
        f"{path.stem}: {'grey' if channels == 1 else 'RGB'} images of {width}x{height} pixels, "
        f"{slots} slot{'s' * (slots != 1)} for annotators",
        f"raw format: {raw_format}; left out: {left_out(path) or 'none'}",
        *(f"remark: {remark}" for remark in read_remarks(path)),
        *([f"{torn} of the patients have images in several splits"] if torn else []),
        overview(images).to_string(),
    ]
    return "\n".join(lines)
