"""A progress bar an epoch, on standard error; it stops the training where the loss is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from types import TracebackType

import keras
import numpy as np

from kmedtl.errors import UserError
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.recipe import Stage
from kmedtl.system.progress import progress
from kmedtl.system.titles import title

NAMED = 5  # images of a batch, in a message


class EpochBar(keras.callbacks.Callback):
    """Shows stage, epoch, steps, loss, and after validation its score; the finished line stays."""

    def __init__(self, stage: Stage, number: int, steps: int, images: Callable[[int], Iterable[str]]) -> None:
        """Take `images` to name those of a step."""
        super().__init__()
        title = f"{stage.name} {number + 1}/{stage.epochs}"
        self._bar = progress(total=steps, title=f"{title:<14}", unit="step", leave=True)
        self._stage, self._number, self._images = stage, number, images

    def on_train_batch_end(self, batch: int, logs: dict) -> None:
        if not np.isfinite(logs["loss"]):
            images = list(map(str, self._images(batch)))
            named = ", ".join(images[:NAMED]) or "without labels alone"
            raise UserError(
                f"stage {self._stage.name}, epoch {self._number + 1}, step {batch + 1}: the loss is {logs['loss']}; "
                f"lower the stage's lr ({self._stage.lr:g}). Images of that batch ({len(images)}): {named}"
                + (", …" if len(images) > NAMED else ".")
            )
        self._bar.set_postfix_str(f"loss {logs['loss']:.3f}", refresh=False)
        self._bar.update()

    def finish(self, epoch: Epoch) -> None:
        if math.isnan(epoch.score):
            self._bar.set_postfix_str(f"loss {epoch.loss:.3f}")
            return
        name = title(next(iter(epoch.figures)).removeprefix("val_"))
        said = f"loss {epoch.loss:.3f}, val {name} {epoch.headline:.4f}"
        self._bar.set_postfix_str(said if epoch.score == epoch.headline else f"{said}, score {epoch.score:.4f}")

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()
