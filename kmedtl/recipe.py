"""What a run is: one frozen, validated tree of settings, read from Python, YAML or `--set`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from kmedtl import config
from kmedtl.data.reading import Reading, Window
from kmedtl.errors import UserError


def _expect(condition: bool, setting: str, expected: str, received: Any) -> None:
    if not condition:
        raise UserError(f"{setting}: expected {expected}. Received: {received!r}.")


@dataclass(frozen=True)
class Data:
    """Where the images come from and how they are read and divided.

    Attributes:
        source: `phantom[:PATIENTS]` (synthetic), a folder of class folders, a CSV or Parquet manifest, an `.npz` in
            MedMNIST's layout, or `tfds:NAME[/CONFIG]`.
        labels: a CSV with a label (or a column a finding) for each SOPInstanceUID, StudyInstanceUID, PatientID or path;
            the source is then a folder of any depth, such as a DICOM archive.
        classes: class names, the finding last; empty: the source's own, in alphabetical order. One name alone makes
            that finding of a multi-label source a yes-or-no question.
        uncertain: what a label of −1 (CheXpert) becomes; `ignore` leaves it out of the loss.
        patient_pattern: regular expression over a file's name, or else its path below the source; its first matching
            group (or the whole match) is the patient. A manifest's column or a DICOM PatientID goes before it; without
            any of them each image counts as a patient of its own.
        keep_ids: write patient ids as they are; else as pseudonyms (`kmedtl.data.pseudonyms`).
        size: side of the square that the model sees, in pixels.
        channels: 1 (grayscale) or 3 (RGB).
        window: of DICOM images; the default is the file's own.
        frames: of multi-frame DICOM images: `middle`, `all` (each an image of its own) or a number from 0 on.
        validation, test: fractions of the images, taken by whole patients.
        folds: cross-validation with that many patient-disjoint parts (0: none), or `site`: each site is left out once.
        batch_size: images a training step.
        augment: a preset of `kmedtl.data.augment`.
        max_unreadable: fraction of the files that may be unreadable before a run is refused.
        allow_leakage: train although the source's own splits share patients or images; the report then says so.
        limit: at most about this many images, by whole patients and stratified; None: all.
    """

    source: str = "phantom"
    labels: str = ""
    classes: tuple[str, ...] = ()
    uncertain: Literal["ignore", "ones", "zeros"] = "ignore"
    patient_pattern: str = ""
    keep_ids: bool = False
    size: int = 224
    channels: int = 3
    window: Window = field(default_factory=Window)
    frames: int | Literal["middle", "all"] = "middle"
    validation: float = 0.15
    test: float = 0.15
    folds: int | Literal["site"] = 0
    batch_size: int = 32
    augment: Literal["none", "xray", "skin", "retina", "mri", "ultrasound", "histology"] = "xray"
    max_unreadable: float = 0.01
    allow_leakage: bool = False
    limit: int | None = None

    @property
    def reading(self) -> Reading:
        return Reading(self.size, self.channels, self.window)

    def __post_init__(self) -> None:
        _expect(self.source != "", "data.source", "phantom, a folder, a file or tfds:NAME", self.source)
        _expect(len(set(self.classes)) == len(self.classes), "data.classes", "distinct names", self.classes)
        _expect(32 <= self.size <= 2048, "data.size", "32 to 2048 pixels", self.size)
        _expect(self.channels in (1, 3), "data.channels", "1 or 3", self.channels)
        _expect(0 < self.validation < 1, "data.validation", "a fraction between 0 and 1", self.validation)
        _expect(0 < self.test < 1, "data.test", "a fraction between 0 and 1", self.test)
        _expect(self.folds in ("site", 0) or 2 <= self.folds <= 100, "data.folds", "2 to 100, 0 or site", self.folds)
        frames = self.frames
        _expect(isinstance(frames, str) or frames >= 0, "data.frames", "middle, all or 0 and more", frames)
        kept = self.validation + self.test
        _expect(kept < 0.9, "data.validation + data.test", "less than 0.9, the rest trains", kept)
        _expect(self.batch_size >= 1, "data.batch_size", "at least 1", self.batch_size)
        _expect(0 <= self.max_unreadable <= 1, "data.max_unreadable", "a fraction", self.max_unreadable)
        _expect(self.limit is None or self.limit >= 1, "data.limit", "at least 1, or null", self.limit)
        try:
            re.compile(self.patient_pattern)
        except re.error as error:
            raise UserError(
                f"data.patient_pattern: expected a regular expression ({error}). Received: {self.patient_pattern!r}."
            ) from None


@dataclass(frozen=True)
class Backbone:
    """The pretrained network: a name of `kmedtl backbones`; weights `imagenet`, `random` or a file."""

    name: str = "EfficientNetLite0"
    weights: str = "imagenet"


@dataclass(frozen=True)
class Head:
    """What is stacked on the backbone: average pooling, dropout, one linear layer to the logits."""

    dropout: float = 0.2

    def __post_init__(self) -> None:
        _expect(0 <= self.dropout < 1, "head.dropout", "a rate from 0 to below 1", self.dropout)


@dataclass(frozen=True)
class Stage:
    """One stage of fine-tuning: what trains, for how long and how fast.

    Attributes:
        name: shown in progress, history and report.
        train: `head`, `all`, `last:2`, block names or globs; the rest is frozen.
        epochs: passes over the training images.
        lr: peak rate, reached after `warmup` of the steps, then lowered along a cosine.
        optimizer: `adamw`, `sgd` (Nesterov momentum 0.9) or `lamb`.
        layer_decay: each block's rate is that of the block behind it times this, the head's is `lr`; 1: one rate for
            all (Bao et al., BEiT, 2022, appendix; Howard & Ruder, ULMFiT, 2018, section 3.2).
        clip_norm: bound on the norm of a block's gradient (of all together where `layer_decay` is 1); 0: none.
        l2_sp: strength λ of λ‖w − w₀‖² on the backbone's kernels, w₀ being those the stage starts from, which shrinks
            towards what was learned before instead of towards 0 (Li et al., L2-SP, 2018, equation 3).
        batch_norm: `train` lets the BatchNorm layers of trainable blocks learn, on a small set at their peril.
        patience: stop after so many epochs without a better one in the stage; 0: never.
        weight_decay: decoupled decay (Loshchilov & Hutter 2019); biases and norms are left out.
        warmup: fraction of the stage's steps.
        views: augmented views of each image for which the frozen part is computed, once; the epochs draw from them.
            More is closer to fresh augmentation and slower; 0: compute the whole model for every image of every epoch.
        label_smoothing: as in Szegedy et al. 2016, section 7.
        mix: train on mixtures of two images and of their labels: `mixup` (Zhang et al. 2018) or `cutmix` (Yun et al.
            2019).
        focal_gamma: weigh each loss by |target − probability|^γ, so that what is known already counts less (Lin et al.,
            Focal Loss, 2017, equation 4); 0: cross-entropy.
        class_weights: `balanced` weighs a rare label's images up, so that each label counts the same.
    """

    name: str
    train: str
    epochs: int
    lr: float
    optimizer: Literal["adamw", "sgd", "lamb"] = "adamw"
    layer_decay: float = 1.0
    clip_norm: float = 0.0
    l2_sp: float = 0.0
    batch_norm: Literal["frozen", "train"] = "frozen"
    patience: int = 0
    weight_decay: float = 1e-4
    warmup: float = 0.1
    views: int = 2
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    mix: Literal["none", "mixup", "cutmix"] = "none"
    class_weights: Literal["none", "balanced"] = "none"

    def __post_init__(self) -> None:
        _expect(self.epochs >= 1, f"stage {self.name}: epochs", "at least 1", self.epochs)
        _expect(0 < self.lr <= 10, f"stage {self.name}: lr", "a rate above 0, at most 10", self.lr)
        _expect(0 < self.layer_decay <= 1, f"stage {self.name}: layer_decay", "above 0, at most 1", self.layer_decay)
        for setting in ("clip_norm", "l2_sp", "focal_gamma", "patience"):
            value = getattr(self, setting)
            _expect(value >= 0, f"stage {self.name}: {setting}", "0 or more", value)
        _expect(self.weight_decay >= 0, f"stage {self.name}: weight_decay", "0 or more", self.weight_decay)
        _expect(0 <= self.warmup <= 1, f"stage {self.name}: warmup", "a fraction", self.warmup)
        _expect(self.views >= 0, f"stage {self.name}: views", "0 or more", self.views)
        smoothing = self.label_smoothing
        _expect(0 <= smoothing < 1, f"stage {self.name}: label_smoothing", "0 to below 1", smoothing)


@dataclass(frozen=True)
class Training:
    """How the stages are carried out; nothing of it changes what they aim at.

    Attributes:
        cache_gigabytes: disk space for the frozen part's activations; a stage that needs more computes them anew in
            each epoch, and says so. 10^9 bytes.
        cache_dtype: `float16` halves the space; with `float32` a cached stage trains exactly as an uncached one.
    """

    cache_gigabytes: float = 4.0
    cache_dtype: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        _expect(self.cache_gigabytes >= 0, "training.cache_gigabytes", "0 or more", self.cache_gigabytes)


@dataclass(frozen=True)
class Evaluation:
    """How the test set is judged; the operating point is always chosen on validation."""

    operating_point: Literal["youden"] = "youden"
    resamples: int = 2000

    def __post_init__(self) -> None:
        _expect(self.resamples >= 100, "evaluation.resamples", "at least 100", self.resamples)


@dataclass(frozen=True)
class Export:
    """What is written beside `model.keras`.

    Attributes:
        formats: in any order.
        calibration_images: of the int8 file: so many training images, stratified by label.
    """

    formats: tuple[Literal["saved_model", "float32", "int8"], ...] = ("saved_model", "float32", "int8")
    calibration_images: int = 64

    def __post_init__(self) -> None:
        count = self.calibration_images
        _expect(count >= 1, "export.calibration_images", "at least 1", count)


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on, its seed included.

    Attributes:
        stages: in their order; none where a `schedule` makes them.
        schedule: a preset of `kmedtl.finetune.presets`; `auto` picks one by the number of training images.
    """

    name: str
    stages: tuple[Stage, ...] = ()
    schedule: Literal[
        "stages", "auto", "linear_probe", "lp_ft", "gradual", "full", "surgical_first", "bit_hyperrule"
    ] = "stages"
    data: Data = field(default_factory=Data)
    backbone: Backbone = field(default_factory=Backbone)
    head: Head = field(default_factory=Head)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    export: Export = field(default_factory=Export)
    seed: int = 7

    def __post_init__(self) -> None:
        _expect(bool(re.fullmatch(r"[A-Za-z0-9_-]+", self.name)), "name", "letters, digits, - and _", self.name)
        listed = self.schedule == "stages"
        _expect(bool(self.stages) or not listed, "stages", "at least one, or a schedule such as auto", self.stages)
        _expect(listed or not self.stages, "stages", f"none beside schedule={self.schedule}", len(self.stages))
        _expect(0 <= self.seed < 2**31, "seed", "a whole number from 0 to 2^31 - 1", self.seed)


def read(path: Path) -> Recipe:
    """Read a recipe from a YAML file; see `kmedtl.config.build` for what is refused."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe file; `kmedtl recipes` lists the built-in ones.") from None
    except OSError as error:
        raise UserError(f"{path}: the recipe cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    try:
        return config.build(Recipe, document)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write(recipe: Recipe, path: Path) -> None:
    """Write the whole recipe, defaults included, so that `kmedtl run PATH` repeats the run."""
    path.write_text(yaml.safe_dump(config.to_dict(recipe), sort_keys=False), encoding="utf-8")
