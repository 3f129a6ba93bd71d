"""How much an answer varies: over augmented copies of the image, and over networks that dropout thins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kmedtl.data.augment import augmentation
from kmedtl.edge.tasks import Decoder, edge_task_of
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.system.progress import progress

BATCH = 32


@dataclass(frozen=True)
class Spread:
    """The outputs of several passes over the same images.

    Attributes:
        outputs: by name, float32 (N, …), their mean.
        deviation: float64 (N, F), standard deviation of the answer (a calibrated probability, or a number in its unit);
            the larger the less sure.
    """

    outputs: Outputs
    deviation: np.ndarray


class _Dropping(keras.layers.Dropout):
    """Dropout that also drops when a model predicts."""

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        return super().call(inputs, training=True)


def augmented(
    model: keras.Model, images: np.ndarray, preset: str, decoder: Decoder, passes: int = 8, seed: int = 0
) -> Spread:
    """Answer images varied as in training: test-time augmentation.

    Source: Wang et al., Aleatoric Uncertainty Estimation with Test-Time Augmentation (2019), section 3.3.

    Args:
        images: uint8 (N, H, W, C).
        preset: of `kmedtl.data.augment.PRESETS`; the recipe's own.
        decoder: of the model, which makes answers of outputs.
        passes: 2 or more.
        seed: of the variations.

    Raises:
        UserError: a model that takes fields beside the image.
    """
    _refuse_fields(model)
    layers = augmentation(preset, images.shape[-1], seed)

    def answer(batch: np.ndarray) -> Outputs:
        varied = batch
        for layer in layers:
            varied = layer(varied, training=True)
        return model.predict_on_batch(varied)

    return _spread(answer, images, decoder, passes, "augmented")


def mc_dropout(model: keras.Model, images: np.ndarray, decoder: Decoder, passes: int = 20, seed: int = 0) -> Spread:
    """Answer with dropout at work and BatchNorm at rest: Monte Carlo dropout. The model itself is left as it is.

    Source: Gal & Ghahramani, Dropout as a Bayesian Approximation (2016), section 4. Arguments as of `augmented`.

    Raises:
        UserError: a model without dropout, which would always say the same, or one that takes fields beside the image.
    """
    _refuse_fields(model)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    if not any(rates):
        raise UserError("MC dropout: expected a model with dropout. Received: none; train with head.dropout above 0.")
    thinned = _always_dropping(model, seed)
    return _spread(thinned.predict_on_batch, images, decoder, passes, "MC dropout")


def _refuse_fields(model: keras.Model) -> None:
    if len(model.inputs) > 1:
        raise UserError("uncertainty: expected a model of the image alone. Received: one that takes fields beside it.")


def _always_dropping(model: keras.Model, seed: int) -> keras.Model:
    """Return a copy whose dropout never rests, each layer with a seed of its own."""
    names = [layer.name for layer in model.layers]

    def copied(layer: keras.Layer) -> keras.Layer:
        if type(layer) is keras.layers.Dropout:
            return _Dropping.from_config(layer.get_config() | {"seed": seed + names.index(layer.name)})
        return type(layer).from_config(layer.get_config())

    thinned = keras.models.clone_model(model, clone_function=copied)
    thinned.set_weights(model.get_weights())
    return thinned


def _spread(
    answer: Callable[[np.ndarray], Outputs], images: np.ndarray, decoder: Decoder, passes: int, name: str
) -> Spread:
    """Return mean and deviation over passes, outputs a pass."""
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    outputs_by_pass: list[dict[str, np.ndarray]] = []
    with progress(total=passes * len(batches), title=name, unit="batch") as bar:
        for _ in range(passes):
            parts = []
            for batch in batches:
                parts.append(answer(batch.astype(np.float32)))
                bar.update()
            outputs_by_pass.append({output: np.concatenate([part[output] for part in parts]) for output in parts[0]})
    decode = edge_task_of(decoder).decode
    numbers = [
        [[one.value for one in found.measurements()] for found in decode(outputs, decoder)]
        for outputs in outputs_by_pass
    ]
    return Spread(
        {output: np.mean([outputs[output] for outputs in outputs_by_pass], axis=0) for output in outputs_by_pass[0]},
        np.array(numbers).std(axis=0),
    )
