"""What the config may specify: `config.yaml` and its overlays as typed classes.

A key that `config.yaml` sets is required here; only keys that it omits have a default. So each default is in one place.

`python -m segunc.config.schema > workflow/schemas/config.schema.json` writes the JSON schema for editors, and
`python -m segunc.config.schema overlay > workflow/schemas/overlay.schema.json` that of overlays.
"""

import json
import re
import sys
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, create_model
from pydantic import model_validator as validator

from segunc.catalogue.options import available, imports, options_of, wraps
from segunc.cells import Cell, Step
from segunc.config.looks import Marker

FORMAT = ("data/formats", "read")
METHOD = ("models", "build")
STRATEGY = ("strategies", "pick")
"""Families of files with one entry function each, whose keyword-only arguments are options of the config."""

DEVICES = ("auto", "cpu", "cuda")
"""Values of the key `device`, where networks run: a setting of the run, not part of the experiment (Config)."""


def _no_period(name: str) -> str:
    """Snakemake refuses a wildcard that ends in 20 times the same text, as it suspects an endless recursion.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/io/__init__.py (PeriodicityDetector)
    """
    if period := re.search(r"(.+?)\1{19}$", name):
        raise ValueError(f"it ends in '{period[1]}' 20 times, which Snakemake refuses; choose a shorter id")
    return name


def _in_one_line(label: str) -> str:
    """Figures draw a label as it is."""
    if not label.strip():
        raise ValueError("it is blank; give it a name")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in label):
        raise ValueError("it has a line break or another control character; write it in one line")
    return label


Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64), AfterValidator(_no_period)]
Label = Annotated[str, Field(max_length=100, description="name in figures"), AfterValidator(_in_one_line)]
# Bounds, because estimates and paths cannot hold any integer.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Share = Annotated[float, Field(gt=0, lt=1)]
Draws = Annotated[int, Field(gt=0, le=4096)]
Colour = Annotated[
    str,
    Field(pattern=r"^#[0-9A-Fa-f]{6}$", description="in figures, such as #0072B2; null: by its place in the catalogue"),
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Grid(Strict):
    """The cells to compute: every dataset with every model and every seed."""

    datasets: list[Identifier] = Field(min_length=1, description="ids from the catalogue `datasets`")
    models: list[Identifier] = Field(min_length=1, description="ids from the catalogue `models`")
    seeds: list[Seed] = Field(min_length=1, description="one training per seed")


class Split(Strict):
    """How the patients (not the images) are split, by folds or by shares. A published split is used as it is."""

    # At most 20, because the contact sheet has a row of images for each.
    folds: int | None = Field(
        None,
        ge=3,
        le=20,
        description="folds into which the patients are dealt; training s tests on fold s mod folds, validates on the "
        "next one and trains on the rest",
    )
    train: Share | None = Field(None, description="share of the patients, the same ones for every seed of the grid")
    val: Share | None = None
    test: Share | None = None
    seed: Seed = Field(0, description="of the shuffling of the patients")

    @validator(mode="after")
    def _one_way(self) -> "Split":
        shares = [share for share in (self.train, self.val, self.test) if share is not None]
        if len(shares) != (3 if self.folds is None else 0):
            raise ValueError("give either folds, or train, val and test, and null for the other")
        if shares and abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, not {sum(shares):g}")
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of the patients in the training, validation and test split of one seed."""
        if self.folds is not None:
            return 1 - 2 / self.folds, 1 / self.folds, 1 / self.folds
        assert self.train and self.val and self.test
        return self.train, self.val, self.test


class Augmentation(Strict):
    """Random transformations of training images, with the same geometry for their masks."""

    flip: bool = Field(True, description="horizontal and vertical flips, each with probability 1/2")
    rotation: float = Field(180, ge=0, le=180, description="rotation by up to this many degrees either way")
    scale: tuple[PositiveFloat, PositiveFloat] = Field((0.9, 1.1), description="range of the zoom factor")


class Training(Strict):
    """How a network is trained. The last weights are kept or, with `patience`, those with the best validation."""

    steps: Count | None = Field(description="budget in gradient steps (give steps or epochs)")
    epochs: Count | None = Field(None, description="budget in passes through the training images")
    validate_every: Count | None = Field(description="gradient steps between validations; null: an epoch")
    patience: Count | None = Field(
        None,
        description="early stopping: validations without improvement before stopping, counted after a quarter of the "
        "budget; null: none",
    )
    batch_size: Count
    learning_rate: PositiveFloat
    warmup_steps: int = Field(ge=0, lt=2**31, description="steps over which the learning rate rises linearly")
    schedule: Literal["constant", "cosine"] = Field(description="learning rate after the warm-up")
    gradient_clip: PositiveFloat | None = Field(description="largest norm of the gradient; null: any")
    annotators: Literal["shuffled", "index"] = Field(
        "shuffled",
        description="order of the annotators: shuffled once per nodule or lesion, or as in the raw data",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="bfloat16: autocast; auto: bfloat16 if the hardware supports it"
    )
    augmentation: Augmentation | None = Field(Augmentation(), description="null: none")

    @validator(mode="after")
    def _one_budget(self) -> "Training":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs, and null for the other")
        return self


def _partial(model: type[BaseModel]) -> Any:
    """The same fields with the same bounds, each optional: the keys that an overlay of `model` may replace."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        described = Field(description=field.description)
        fields[name] = (Annotated[field.annotation, *field.metadata, described], None)  # type: ignore[name-defined]
    return create_model(f"{model.__name__}Overrides", __base__=Strict, **fields)


if TYPE_CHECKING:

    class TrainingOverrides(Strict): ...

else:
    TrainingOverrides = _partial(Training)


class Backbone(Strict):
    """The U-Net that all models share."""

    filters: list[Count] = Field(min_length=2, description="per level, finest first")
    convolutions: Count = Field(description="3x3 convolutions per block")
    normalisation: Literal["batch", "none"]


class Dataset(Strict):
    """One dataset: its raw data, how images are brought to one size, how patients are split."""

    label: Label
    format: str = Field(description="raw format: a file in src/segunc/data/formats")
    options: dict[str, Any] = Field({}, description="options of the raw format, including the names of raw data")
    size: Count = Field(le=8192, description="height and width of the images, in pixels")
    resize: Literal["crop", "area"] = Field("crop", description="how to get there: crop the centre, or average areas")
    split: Split = Split(folds=5)
    training: TrainingOverrides = Field(TrainingOverrides(), description="replaces keys of the global training")


class ModelOverrides(Strict):
    """What differs for a model on one dataset."""

    options: dict[str, Any] = {}
    training: TrainingOverrides = TrainingOverrides()


class Model(Strict):
    """One model: its method, its options, and how its training differs from the global one."""

    label: Label
    method: str = Field(description="a file in src/segunc/models")
    options: dict[str, Any] = Field({}, description="options of the method")
    colour: Colour | None = None
    marker: Marker | None = Field(None, description="matplotlib's, in figures; null: by its place in the catalogue")
    draws: Draws | None = Field(None, description="replaces the global draws")
    training: TrainingOverrides = Field(TrainingOverrides(), description="replaces keys of the dataset's training")
    per_dataset: dict[Identifier, ModelOverrides] = Field({}, description="overrides for single datasets")

    @cached_property
    def of(self) -> str | None:
        """The id of the model whose trained network it uses; None if it has a training of its own."""
        return self.options["of"] if wraps(self.method) else None

    @cached_property
    def imported(self) -> bool:
        """Whether its predictions are files, so that it has no training."""
        return imports(self.method)

    @property
    def trained(self) -> bool:
        """Whether it has a training of its own."""
        return self.of is None and not self.imported


class Strategy(Strict):
    """One acquisition strategy of active learning."""

    label: Label
    method: str = Field(description="a file in src/segunc/strategies")
    options: dict[str, Any] = Field({}, description="options of the method")
    colour: Colour | None = None
    marker: Marker | None = Field(None, description="matplotlib's, in figures; null: by its place in the catalogue")


class Active(Strict):
    """Active learning: the cells to compute, and how many images each round labels. An empty list turns it off."""

    datasets: list[Identifier] = Field(description="ids from the catalogue `datasets`")
    models: list[Identifier] = Field(description="ids from the catalogue `models`")
    strategies: list[Identifier] = Field(description="ids from the catalogue `strategies`")
    seeds: list[Seed] = Field(description="one initial labelled set and one chain of rounds per seed")
    start: Count = Field(description="images labelled in round 0")
    add: Count = Field(description="images to label per round")
    rounds: int = Field(ge=0, le=1000, description="rounds after round 0")
    training: TrainingOverrides = Field(description="replaces keys of the cell's training")
    per_dataset: dict[Identifier, TrainingOverrides] = Field({}, description="overrides for single datasets")


class Statistics(Strict):
    """How intervals are computed."""

    confidence: float = Field(gt=0, lt=1, description="level of all intervals")


class Figures(Strict):
    """How figures are laid out."""

    width_mm: float = Field(
        ge=120, le=250, description="largest width; 175: a page of two columns, 122: one of one column (LNCS)"
    )


class Missing(Strict):
    """A job whose results are missing. Tables and figures are built without them, and list them."""

    step: str = Field(description="name of its rule")
    cell: dict[str, str] = Field(description="its wildcards")
    why: str

    @property
    def job(self) -> Step:
        return self.step, Cell.of(self.cell)


class Config(Strict):
    """The experiment: `grid` selects from the catalogues `datasets` and `models`."""

    run: Identifier | None = Field(
        description="name of the experiment, whose tables, figures and report then have a folder of their own"
    )
    grid: Grid
    datasets: dict[Identifier, Dataset]
    models: dict[Identifier, Model]
    backbone: Backbone
    training: Training
    draws: Draws = Field(description="sampled masks per image, of models whose samples are independent")
    statistics: Statistics
    strategies: dict[Identifier, Strategy]
    active: Active
    figures: Figures
    raw_folders: list[str] = Field(description="folders to search for raw data, in this order")
    keep: str | None = Field(
        description="folder of finished results that are set aside; null: .kept in the results folder"
    )
    keep_gb: float = Field(ge=0, description="how much the results there may take that are nowhere else, in 10^9 bytes")
    missing: list[Missing] = Field(
        [], description="results that a run with --keep-going could not produce; set by the workflow itself"
    )

    @cached_property
    def reasons(self) -> dict[Step, str]:
        """Why results are missing, by the job that did not write them."""
        return {entry.job: entry.why for entry in self.missing}


def schema() -> dict[str, Any]:
    """JSON schema of the config, with the options of every raw format, model and strategy."""
    result = Config.model_json_schema()
    result["properties"]["device"] = {
        "title": "Device",
        "description": "where networks run; auto: on a GPU if there is one",
        "enum": list(DEVICES),
        "default": "auto",
    }
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for owner, role, (family, function) in (
        ("Dataset", "format", FORMAT),
        ("Model", "method", METHOD),
        ("Strategy", "method", STRATEGY),
    ):
        entry = result["$defs"][owner]
        entry["properties"][role]["enum"] = available(family)
        entry["allOf"] = [
            {
                "if": {"properties": {role: {"const": name}}, "required": [role]},
                "then": {"properties": {"options": options_of(family, name, function).model_json_schema()}},
            }
            for name in available(family)
        ]
    return result


def overlay_schema() -> dict[str, Any]:
    """JSON schema of overlays: the same keys, of which none is required."""

    def optional(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: value if key == "if" else optional(value) for key, value in part.items() if key != "required"}
        return [optional(value) for value in part] if isinstance(part, list) else part

    return optional(schema())


if __name__ == "__main__":
    print(json.dumps(overlay_schema() if "overlay" in sys.argv[1:] else schema(), indent=2))
