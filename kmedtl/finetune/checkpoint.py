"""Where a fine-tuning stands between two epochs: all that is needed to go on from there, in one file."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmedtl import config
from kmedtl.errors import UserError
from kmedtl.files.names import STATE
from kmedtl.finetune.lr_range import RangeTest
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.recipe import Stage
from kmedtl.statistics.confidence import Estimate


@dataclass(frozen=True)
class Epoch:
    """A row of `history.csv`.

    Attributes:
        stage, epoch: its name, and the number within it, from 1 on.
        alpha: 1, or how far weights between the stage's start and its best were from that start (`interpolate`).
        loss, val_loss: the mean of the task's loss.
        figures: the task's figures of validation, `val_` before their names; the first is the headline.
        score: what `training.select` names, more being better; nan, as all of validation, where nothing judges it.
        seconds: that the training took, without validation.
        step_ms: milliseconds a training step.
    """

    stage: str
    epoch: int
    alpha: float
    loss: float
    val_loss: float
    figures: Mapping[str, float]
    score: float
    seconds: float
    step_ms: float

    @property
    def headline(self) -> float:
        """The task's headline figure of validation."""
        return next(iter(self.figures.values()))

    def row(self) -> dict[str, Any]:
        """Return every value by its name, the figures by their own."""
        flat: dict[str, Any] = {}
        for name, value in asdict(self).items():
            flat |= value if name == "figures" else {name: value}
        return flat

    @property
    def selection_score(self) -> tuple[float, float]:
        """What "best" means: the score, and of equals the lower loss."""
        return self.score, -self.val_loss


@dataclass(frozen=True)
class Pass:
    """A pass through the frozen part: for the stages up to `last`, varied as `seed` says."""

    last: int
    seed: int


@dataclass
class Checkpoint:
    """Where a fine-tuning stands.

    Attributes:
        asked: the stages as the recipe has them.
        stages: the same, with what the begun ones found out (`lr: auto`, `train: adaptive:2`).
        history: the epochs done.
        number: of the current stage.
        epochs: how many of it are done.
        shared: the pass that it takes part in; None before its first.
        importance: of stages that are `adaptive`: stage → block → importance.
        range_tests: of stages with `lr: auto`, by name.
        start, now, best: the model's weights when the stage began, now, and those to hand on: of the best epoch of all,
            or of the best interpolation.
        selection_score, start_score: of `best`, now and when the stage began; None before the first epoch.
        optimizer, average: the variables of the optimizer, and of the moving average if there is one.
        beside: weights that train in the current stage and are none of the model's, such as a classifier of domains.
        data: of `kmedtl.finetune.same_data.hashes_of`, when the training began.
        seconds, work: that training took so far, and the multiplications of the stages done (`finetune.deepening`).
        gains: of a schedule that decides by them: stage → what it gained on validation, with its interval.
        stopped: why no further stage follows although more were planned; empty: they all trained, or will.
    """

    asked: list[Stage]
    stages: list[Stage]
    best: list[np.ndarray]
    selection_score: tuple[float, float] | None = None
    start_score: tuple[float, float] | None = None
    history: list[Epoch] = field(default_factory=list)
    number: int = 0
    epochs: int = 0
    shared: Pass | None = None
    importance: dict[str, dict[str, float]] = field(default_factory=dict)
    range_tests: dict[str, RangeTest] = field(default_factory=dict)
    start: list[np.ndarray] = field(default_factory=list)
    now: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    average: list[np.ndarray] = field(default_factory=list)
    beside: list[np.ndarray] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    work: float = 0.0
    gains: dict[str, Estimate] = field(default_factory=dict)
    stopped: str = ""
    since: float = field(default_factory=time.perf_counter)  # of the time that `seconds` do not count yet

    @property
    def is_done(self) -> bool:
        """Whether every stage has trained, or none is to follow."""
        return self.number == len(self.stages)

    @property
    def stage(self) -> Stage:
        return self.stages[self.number]

    @property
    def of_stage(self) -> list[Epoch]:
        """The epochs of the current stage."""
        return self.history[len(self.history) - self.epochs :]

    def to_plan(self, last: int) -> list[Stage]:
        """Return the stages from the current one to `last`, of the length that was asked: views follow from it."""
        numbers = range(self.number, last + 1)
        return [replace(self.stages[number], epochs=self.asked[number].epochs) for number in numbers]

    def resolve(self, **found: Any) -> None:
        """Replace settings of the current stage by what it found out."""
        self.stages[self.number] = replace(self.stage, **found)

    def start_stage(self, model: keras.Model) -> None:
        """Begin the current stage, or go on with it: give the model the weights that it starts from."""
        if not self.start:
            self.start, self.start_score = model.get_weights(), self.selection_score
        model.set_weights(self.start)

    def restore(self, model: keras.Model, trainer: keras.Model, average: MovingAverage) -> None:
        """Bring model, optimizer and average to where they were after the last epoch of a stage that goes on."""
        if self.epochs:
            model.set_weights(self.now)
            for variable, value in zip(trainer.optimizer.variables, self.optimizer, strict=True):
                variable.assign(value)
            for variable, value in zip(_beside(model, trainer), self.beside, strict=True):
                variable.assign(value)
            average.restore(self.average)

    def record_epoch(self, epoch: Epoch, model: keras.Model, is_judged: bool = True) -> None:
        """Take note of an epoch, and of the model's weights if it is the best of all, or is not judged."""
        if not is_judged:
            self.best, self.selection_score = model.get_weights(), None
        elif self.selection_score is None or epoch.selection_score > self.selection_score:
            self.best, self.selection_score = model.get_weights(), epoch.selection_score
        self.history.append(epoch)
        self.epochs += 1
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    def capture(self, model: keras.Model, trainer: keras.Model, average: MovingAverage) -> None:
        """Remember what `restore` needs."""
        self.now = model.get_weights()
        self.optimizer = [variable.numpy() for variable in trainer.optimizer.variables]
        self.beside = [variable.numpy() for variable in _beside(model, trainer)]
        self.average = average.values

    def end_stage(self) -> None:
        """Go on to the next stage."""
        assert self.shared is not None  # a stage trains in a pass
        if self.number == self.shared.last:
            self.shared = None
        self.number += 1
        self._forget_stage()

    def stop(self, reason: str) -> None:
        """Leave out the stages to come."""
        self.stages, self.shared, self.stopped = self.stages[: self.number], None, reason
        self._forget_stage()

    def _forget_stage(self) -> None:
        self.epochs, self.start, self.now, self.optimizer, self.average, self.beside = 0, [], [], [], [], []

    def resume_with(self, stages: Sequence[Stage]) -> None:
        """Go on with these stages; where the current one has changed, from its beginning.

        Raises:
            UserError: a stage that is finished has changed.
        """
        if list(stages[: self.number]) != self.asked[: self.number]:
            raise UserError(
                f"--resume: {self.number} stages are finished, and the recipe now has others in their place; "
                "leave --resume out to start anew, or give the recipe that the run began with."
            )
        now, then = list(stages[self.number :]), self.asked[self.number :]
        if self.stopped and now == then:
            return
        goes_on = bool(self.epochs) and now[:1] == then[:1]
        if self.epochs and not goes_on:
            self._roll_back()
        if now != then and self.shared:
            self.shared = replace(self.shared, last=self.number)  # what follows is planned anew
        kept = self.number + goes_on
        self.stages, self.asked = [*self.stages[:kept], *stages[kept:]], list(stages)
        self.stopped = ""

    def _roll_back(self) -> None:
        """Forget the epochs of the current stage."""
        for found in (self.importance, self.range_tests, self.gains):
            found.pop(self.stage.name, None)
        self.history = self.history[: len(self.history) - self.epochs]
        self.best, self.selection_score, self.shared = self.start, self.start_score, None
        self._forget_stage()


ARRAYS = ("best", "start", "now", "optimizer", "average", "beside")


def write(state: Checkpoint, folder: Path) -> None:
    """Write the state; a process that dies meanwhile leaves the one before.

    Raises:
        UserError: no room on the disk.
    """
    values = {
        "asked": [config.to_dict(stage) for stage in state.asked],
        "stages": [config.to_dict(stage) for stage in state.stages],
        "history": [asdict(epoch) for epoch in state.history],
        "selection_score": state.selection_score,
        "start_score": state.start_score,
        "number": state.number,
        "epochs": state.epochs,
        "shared": state.shared and asdict(state.shared),
        "importance": state.importance,
        "range_tests": state.range_tests,
        "data": state.data,
        "seconds": state.seconds,
        "work": state.work,
        "gains": {name: asdict(gain) for name, gain in state.gains.items()},
        "stopped": state.stopped,
    }
    arrays = {f"{name}.{i}": array for name in ARRAYS for i, array in enumerate(getattr(state, name))}
    unfinished = folder / f"{STATE}.unfinished"
    try:
        with unfinished.open("wb") as file:
            np.savez(file, values=np.array(json.dumps(values)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / STATE)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(
            f"{folder}: the state after stage {state.stage.name}, epoch {state.epochs}, cannot be written "
            f"({error.strerror}); the one before is kept. Make room, then the same command with --resume goes on."
        ) from None


def read(folder: Path) -> Checkpoint | None:
    """Return the state that a run left, or None.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            values = json.loads(str(file["values"]))
            lists: dict[str, Any] = {name: _numbered(file, name) for name in ARRAYS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: the state of the run is damaged ({error}); remove {folder} and start anew.") from None
    return Checkpoint(
        asked=[config.build(Stage, stage) for stage in values["asked"]],
        stages=[config.build(Stage, stage) for stage in values["stages"]],
        history=[Epoch(**epoch) for epoch in values["history"]],
        selection_score=values["selection_score"] and tuple(values["selection_score"]),
        start_score=values["start_score"] and tuple(values["start_score"]),
        number=values["number"],
        epochs=values["epochs"],
        shared=Pass(**values["shared"]) if values["shared"] else None,
        importance=values["importance"],
        range_tests={name: RangeTest(*tested) for name, tested in values["range_tests"].items()},
        data=values.get("data", {}),  # which earlier versions did not write, as the rest
        seconds=values.get("seconds", 0.0),
        work=values.get("work", 0.0),
        gains={name: Estimate(**gain) for name, gain in values.get("gains", {}).items()},
        stopped=values.get("stopped", ""),
        **lists,
    )


def _beside(model: keras.Model, trainer: keras.Model) -> list[keras.Variable]:
    """Return the weights of the trainer that are none of the model's."""
    own = {id(weight) for weight in model.weights}
    return [weight for weight in trainer.weights if id(weight) not in own]


def _numbered(file: np.lib.npyio.NpzFile, name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}.") for key in file.files)
    return [file[f"{name}.{i}"] for i in range(count)]
