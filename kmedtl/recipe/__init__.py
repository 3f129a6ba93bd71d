"""What a run is: one frozen, validated tree of settings, read from Python, YAML or `--set`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import yaml

from kmedtl import config
from kmedtl.errors import UserError, expect
from kmedtl.files.bounded_yaml import LARGEST, parse
from kmedtl.recipe.data import Data, last_part
from kmedtl.recipe.export import Export, Gate
from kmedtl.recipe.rule import parse_rule
from kmedtl.recipe.search import Search
from kmedtl.recipe.stage import Stage, Training
from kmedtl.recipe.task import Classification, Multi, Ordinal, Regression, Segmentation, Task
from kmedtl.recipe.update import Update

__all__ = [
    "CLASSIFIERS",
    "SOUPS",
    "Backbone",
    "Classification",
    "Data",
    "Evaluation",
    "Export",
    "Gate",
    "Head",
    "Multi",
    "Ordinal",
    "Recipe",
]
__all__ += ["Regression", "Search", "Segmentation", "Stage", "Task", "Training", "Update", "read", "write"]

Schedule = Literal[
    "stages", "auto", "linear_probe", "lp_ft", "gradual", "full", "surgical_first", "bit_hyperrule",
    "logistic", "svm", "knn", "soup", "uniform_soup", "untrained",
]  # fmt: skip
Fusion = Literal["late", "gated"]
CLASSIFIERS = ("logistic", "svm", "knn")  # schedules that train no network
SOUPS = ("soup", "uniform_soup")  # schedules that average the weights of finished runs


@dataclass(frozen=True)
class Backbone:
    """The pretrained network.

    Attributes:
        name: one of `kmedtl backbones`.
        weights: `imagenet`, `random` or a file.
        truncate_at: the last block that is kept, such as `block5`: the upper ones are dropped, which makes the model
            smaller and often costs nothing (Raghu et al., Transfusion, 2019, section 5); empty: all are kept.
    """

    name: str = "EfficientNetLite0"
    weights: str = "imagenet"
    truncate_at: str = ""


@dataclass(frozen=True)
class Head:
    """What is stacked on the backbone.

    Attributes:
        kind: `linear`: average pooling, dropout, one layer to the logits; `mlp`: with a hidden layer between;
            `attention_pool`: a learned weight for each place of the feature map instead of the average (Ilse et al.,
            Attention-based Deep Multiple Instance Learning, 2018, section 2.4); `unet`, for segmentations: a decoder
            that doubles the last feature map step by step and joins the backbone's maps of each size to it
            (Ronneberger et al., U-Net, 2015). Tasks beside it that answer for an image as a whole get a `linear` head.
        hidden: width of the hidden layer, of the attention's, or of the decoder at its coarsest.
        dropout: rate before the last layer.
        detail: of `unet`: a last step at the image's own size, which fine structures such as vessels need.
        standardise: of `linear` and `mlp`: each number of the averaged vector loses its mean and is divided by its
            standard deviation, of the training images before the first stage, so that none moves the head by its scale.
    """

    kind: Literal["linear", "mlp", "attention_pool", "unet"] = "linear"
    hidden: int = 128
    dropout: float = 0.2
    detail: bool = False
    standardise: bool = False

    @property
    def gives(self) -> str:
        """What outputs are made of: one `vector` an image, or a `map`."""
        return "map" if self.kind == "unet" else "vector"

    def __post_init__(self) -> None:
        expect(1 <= self.hidden <= 8192, "head.hidden", "1 to 8192", self.hidden)
        fits = not self.standardise or self.kind in ("linear", "mlp")
        expect(fits, "head.standardise", "false beside this head.kind", self.kind)
        expect(0 <= self.dropout < 1, "head.dropout", "a rate from 0 to below 1", self.dropout)


@dataclass(frozen=True)
class Evaluation:
    """How the test set is judged; whatever is chosen, is chosen on validation.

    Attributes:
        calibration: how logits become probabilities; `auto`: the simplest of the others that is as good as the best.
        operating_point: from which probability a finding is called: `youden`, `sensitivity>=0.95`, `specificity>=0.9`,
            `cost` or `balanced`, see `kmedtl.tasks.classification.operating_point`. Of several classes the most
            probable is called; with `balanced` the one with the highest multiple of its share of validation, so that
            each class counts the same.
        cost_fn, cost_fp: what a missed finding and a false alarm cost; only their ratio matters.
        prevalence: of the finding where the model will be used; `cost` reckons with it, PPV, NPV and net benefit are
            stated for it as well. None: as in the images.
        coverage: how often a set of answers shall hold the truth.
        miss_rate: of a segmentation: the share of a structure's pixels that may be missed on average; the threshold is
            then the highest that keeps it (conformal risk control). None: the threshold with the best Dice.
        groups: columns of the manifest whose values are judged apart, as sex, age, site.
        ordered: the classes are grades, in order.
        cases: images of each kind in the report's gallery: most confident right, most confident wrong, most uncertain.
        explain: how the images of the gallery are explained.
        resamples: draws of the bootstrap.
    """

    calibration: Literal["auto", "none", "temperature", "vector", "isotonic"] = "auto"
    operating_point: str = "youden"
    cost_fn: float = 5.0
    cost_fp: float = 1.0
    prevalence: float | None = None
    coverage: float = 0.9
    miss_rate: float | None = None
    groups: tuple[str, ...] = ()
    ordered: bool = False
    cases: int = 4
    explain: Literal["grad_cam", "grad_cam_plus_plus", "smooth_grad", "occlusion"] = "grad_cam"
    resamples: int = 2000

    def __post_init__(self) -> None:
        parse_rule(self.operating_point)
        for name in ("cost_fn", "cost_fp"):
            expect(getattr(self, name) > 0, f"evaluation.{name}", "above 0", getattr(self, name))
        shares = {"prevalence": self.prevalence, "coverage": self.coverage, "miss_rate": self.miss_rate}
        for name, share in shares.items():
            expect(share is None or 0 < share < 1, f"evaluation.{name}", "above 0 and below 1", share)
        expect(0 <= self.cases <= 12, "evaluation.cases", "0 to 12", self.cases)
        expect(self.resamples >= 100, "evaluation.resamples", "at least 100", self.resamples)


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on, its seed included.

    Attributes:
        name: of the recipe, and of the folder of its runs.
        task: what is asked of an image.
        stages: in their order; none where a `schedule` makes them.
        schedule: a preset of `kmedtl.finetune.presets`; `auto` goes deeper as long as validation gains. `logistic`,
            `svm` and `knn` train no network: scikit-learn learns on the frozen backbone's features. `soup` and
            `uniform_soup` average the weights of `soup`. `untrained` is the baseline of no learning at all.
        soup: run folders of one architecture and one split (Wortsman et al., Model Soups, 2022).
        tabular: fields that are known beside each image, columns of the manifest or of DICOM headers → `number` or
            `category`, such as `{age: number, sex: category}`; empty: the image alone.
        fusion: how they come in; see `kmedtl.runs.fusion`. `late`: a linear model of them is added to the output of the
            network, which is trained on the image alone; `gated`: they scale and shift the vector that the head makes
            of the image, in training already (FiLM: Perez et al., 2018).
        distill: a run folder, of a model or of an ensemble, whose answers to the training images are learned beside the
            labels; see `training.soft_share`. Empty: labels alone.
        update: of which finished run this one is the update; of none by default.
        seed: of split, order, augmentation and initial weights.
    """

    name: str
    stages: tuple[Stage, ...] = ()
    schedule: Schedule = "stages"
    task: Task = field(default_factory=Classification)
    data: Data = field(default_factory=Data)
    backbone: Backbone = field(default_factory=Backbone)
    head: Head = field(default_factory=Head)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    export: Export = field(default_factory=Export)
    search: Search = field(default_factory=Search)
    soup: tuple[str, ...] = ()
    distill: str = ""
    update: Update = field(default_factory=Update)
    tabular: Mapping[str, Literal["number", "category"]] = field(default_factory=dict)
    fusion: Fusion = "late"
    seed: int = 7

    def __post_init__(self) -> None:
        expect(bool(re.fullmatch(r"[A-Za-z0-9_-]+", self.name)), "name", "letters, digits, - and _", self.name)
        _check_task(self)
        _check_tabular(self)
        _check_objectives(self)
        listed = self.schedule == "stages"
        expect(bool(self.stages) or not listed, "stages", "at least one, or a schedule such as auto", self.stages)
        expect(
            self.schedule not in CLASSIFIERS or self.head.kind == "linear",
            "head.kind",
            f"linear beside schedule={self.schedule}",
            self.head.kind,
        )
        expect(listed or not self.stages, "stages", f"none beside schedule={self.schedule}", len(self.stages))
        averaged = self.schedule in SOUPS
        wanted = "two or more run folders" if averaged else f"nothing beside schedule={self.schedule}"
        expect(len(self.soup) > 1 if averaged else not self.soup, "soup", wanted, self.soup)
        fixed = self.schedule in (*CLASSIFIERS, *SOUPS)
        expect(not (fixed and self.distill), "distill", f"nothing beside schedule={self.schedule}", self.distill)
        taught = "nothing beside data.patch: a teacher answers on whole images"
        expect(not (self.data.patch and self.distill), "distill", taught, self.distill)
        names = [stage.name for stage in self.stages]
        expect(len(set(names)) == len(names), "stages", "a name of its own for each", names)
        _check_update(self)
        expect(0 <= self.seed < 2**31, "seed", "a whole number from 0 to 2^31 - 1", self.seed)


def _check_task(recipe: Recipe) -> None:
    """Refuse a head, a schedule, patches or settings of stages that the task has no use for."""
    task, kind = recipe.task, recipe.task.kind
    suited = "unet" if task.needs == "map" else "linear, mlp or attention_pool"
    expect(recipe.head.gives == task.needs, "head.kind", f"{suited} beside {kind}", recipe.head.kind)
    fits = recipe.schedule not in CLASSIFIERS or task.needs == "vector"
    expect(fits, "schedule", f"stages, or a schedule that trains a network, beside {kind}", recipe.schedule)
    patch = recipe.data.patch
    expect(not patch or task.is_local, "data.patch", f"0, whole images, beside {kind}", patch)
    for stage in recipe.stages:
        for name in task.idle:
            value, neutral = getattr(stage, name), Stage.__dataclass_fields__[name].default
            expect(value == neutral, f"stage {stage.name}: {name}", f"{neutral} beside {kind}", value)


def _check_tabular(recipe: Recipe) -> None:
    """Refuse fields beside what cannot use them, and what would mix or teach images without theirs."""
    if not recipe.tabular:
        return
    expect(recipe.task.takes_fields, "tabular", f"no fields beside the task {recipe.task.kind}", list(recipe.tabular))
    for name in recipe.tabular:
        expect(bool(name.strip()) and name == name.strip(), "tabular", "names of columns", name)
    beside = "beside tabular, which soups and teachers know nothing of"
    expect(recipe.schedule not in SOUPS, "schedule", f"none that averages runs {beside}", recipe.schedule)
    expect(not recipe.distill, "distill", f"nothing {beside}", recipe.distill)
    if recipe.fusion == "gated":
        fixed = recipe.schedule in CLASSIFIERS
        expect(not fixed, "fusion", f"late beside schedule={recipe.schedule}, which trains no network", recipe.fusion)
        for stage in recipe.stages:
            expect(stage.mix == "none", f"stage {stage.name}: mix", "none beside fusion=gated", stage.mix)


def _check_objectives(recipe: Recipe) -> None:
    """Refuse what cannot learn from images without labels, and stages that miss them."""
    source, task = recipe.data.unlabelled, recipe.task
    listed = recipe.schedule == "stages"  # other schedules train stages of their own, on labels
    others = [stage for stage in recipe.stages if listed and not stage.is_supervised]
    expect(listed or not source, "schedule", "stages beside data.unlabelled", recipe.schedule)
    for stage in others:
        given = bool(source) or stage.is_contrastive
        wanted = "supervised, or images to learn from in data.unlabelled"
        expect(given, f"stage {stage.name}: objective", wanted, stage.objective)
    expect(bool(others) or not source, "data.unlabelled", "nothing where every stage has objective=supervised", source)
    if not others:
        return
    beside = "beside data.unlabelled" if source else f"beside objective={others[0].objective}"
    expect(task.takes_unlabelled or not source, "data.unlabelled", f"nothing beside the task {task.kind}", source)
    for name in ("views", "neighbours", "patch"):
        value, neutral = getattr(recipe.data, name), Data.__dataclass_fields__[name].default
        expect(value == neutral, f"data.{name}", f"{neutral or 'none'} {beside}", value)
    expect(not recipe.tabular, "tabular", f"no fields {beside}", list(recipe.tabular))
    expect(not recipe.distill, "distill", f"nothing {beside}", recipe.distill)
    expect(not recipe.update.run, "update.run", f"nothing {beside}", recipe.update.run)
    fitted = any(stage.is_contrastive for stage in others) and recipe.head.standardise
    expect(not fitted, "head.standardise", "false beside objective=simclr, which changes what it is fitted to", True)
    heads = [False, *(not stage.is_contrastive for stage in recipe.stages)]  # that fit their backbone, by stage
    for stage, learned in zip(recipe.stages, heads, strict=False):
        can_answer = stage.objective != "pseudo" or learned
        wanted = "another one where no stage before it has trained the head, whose answers would be chance"
        expect(can_answer, f"stage {stage.name}: objective", wanted, stage.objective)
    for stage in others:
        varied = stage.augment or recipe.data.augment
        differ = stage.fewest_views == 1 or varied != "none" or stage.border != "none"
        preset = f"a preset, that two views of an image may differ, beside objective={stage.objective}"
        expect(differ, f"stage {stage.name}: augment", preset, varied)
    last = recipe.stages[-1]
    expect(not last.is_contrastive, f"stage {last.name}: objective", "supervised in the last stage", last.objective)


def _check_update(recipe: Recipe) -> None:
    """Refuse what cannot go on from the weights of a finished run, or be judged beside it."""
    if not recipe.update.run:
        return
    beside = "beside update.run"
    goes_on = recipe.schedule in ("stages", "untrained")  # what begins anew forgets the weights
    expect(goes_on, "schedule", f"stages {beside}", recipe.schedule)
    expect(recipe.data.folds == 0, "data.folds", f"0 {beside}: the run's patients keep their split", recipe.data.folds)
    expect(recipe.data.patch == 0, "data.patch", f"0 {beside}", recipe.data.patch)
    expect(not recipe.tabular, "tabular", f"no fields {beside}", list(recipe.tabular))


def without_folders(recipe: Recipe) -> Recipe:
    """Return the recipe for a page that others read: of each path the last part alone."""
    return replace(
        recipe,
        data=_without_folders(recipe.data),
        backbone=replace(recipe.backbone, weights=last_part(recipe.backbone.weights)),
        soup=tuple(map(last_part, recipe.soup)),
        distill=last_part(recipe.distill),
        update=replace(recipe.update, run=last_part(recipe.update.run)),
    )


def _without_folders(data: Data) -> Data:
    source, labels, unlabelled = map(last_part, (data.source, data.labels, data.unlabelled))
    return replace(data, source=source, labels=labels, unlabelled=unlabelled)


def read(path: Path) -> Recipe:
    """Read a recipe from a YAML file; see `kmedtl.config.build` for what is refused."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe file; `kmedtl recipes` lists the built-in ones.") from None
    except OSError as error:
        raise UserError(f"{path}: the recipe cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML ({error}).") from None
    document = parse(text, str(path))
    try:
        return config.build(Recipe, document)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write(recipe: Recipe, path: Path, defaults: bool = True) -> None:
    """Write a recipe, so that `kmedtl run PATH` repeats the run.

    Args:
        defaults: write every setting, as a run folder does, so that a later default changes nothing; else only what
            differs from the default, for people to read.
    """
    path.write_text(yaml.safe_dump(config.to_dict(recipe, defaults), sort_keys=False), encoding="utf-8")
