"""A progress bar an epoch, on standard error."""

from __future__ import annotations

from types import TracebackType

import keras
from tqdm import tqdm

from kmedtl.recipe import Stage


class EpochBar:
    """Shows stage, epoch, steps, loss, and after validation its AUC; the finished line stays."""

    def __init__(self, stage: Stage, number: int, steps: int) -> None:
        title = f"{stage.name} {number + 1}/{stage.epochs}"
        self._bar = tqdm(total=steps, desc=f"{title:<14}", unit="step", ncols=100)
        self.callback = keras.callbacks.LambdaCallback(on_train_batch_end=self._advance)

    def _advance(self, batch: int, logs: dict) -> None:
        self._bar.set_postfix_str(f"loss {logs['loss']:.3f}", refresh=False)
        self._bar.update()

    def finish(self, val_auc: float) -> None:
        self._bar.set_postfix_str(f"{self._bar.postfix}, val AUC {val_auc:.4f}")

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()
