"""Does an explanation depend on what the model learned? Maps must change where weights are randomised.

Source: Adebayo et al., Sanity Checks for Saliency Maps (2018), section 3, cascading randomisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from kmedtl.backbones.blocks import Block, layers_of
from kmedtl.explain.gradients import Which
from kmedtl.explain.methods import Method

CASCADE = {"head": "head", "head and last block": "last:1", "all": "all"}
# A map that ignores the weights keeps a correlation of 1, an unrelated one has 0 on average; at 0.5 no more than a
# quarter (0.5²) of the variance of the ranks is left that does not come from what the model learned.
LIMIT = 0.5
NORMALISING = (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.Normalization)


@dataclass(frozen=True)
class Sanity:
    """How much of a map is left without what was learned.

    Attributes:
        similarity: what was randomised, from the head down → mean rank correlation with the model's own maps, −1 to 1.
        images: that it is the mean of.
    """

    similarity: dict[str, float]
    images: int

    @property
    def passed(self) -> bool:
        return self.similarity["all"] < LIMIT

    def __str__(self) -> str:
        told = ", ".join(f"{value:.2f} ({name})" for name, value in self.similarity.items())
        verdict = "depend on what the model learned" if self.passed else "do NOT depend on what the model learned"
        return (
            f"The explanations {verdict}: with weights randomised, their rank correlation with the model's own on "
            f"{self.images} images is {told}; of all weights, below {LIMIT} is expected."
        )


def sanity(
    model: keras.Model,
    blocks: Sequence[Block],
    images: np.ndarray,
    which: Which,
    method: Method,
    seed: int,
    fields: np.ndarray | None = None,
) -> Sanity:
    """Compare maps of the model with those of a copy whose weights are randomised from the head down.

    The values of each weight are permuted: their distribution stays, and with it the scale of what flows through
    the network, so the maps of what was learned are compared with those of noise and not of a dead network. Normalising
    layers keep their statistics. The model itself is left as it is.

    Args:
        blocks: of `kmedtl.backbones.blocks.block_map`.
        images: uint8 (N, H, W, C).
        method: of `kmedtl.explain.methods.METHODS`.
        seed: of the permutations.
        fields: what is known beside the images, float32 (N, D), where the model takes it.
    """
    own = method(model, images, which, fields)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    random, done, similarity = np.random.default_rng(seed), set(), {}
    for name, what in CASCADE.items():
        for layer in layers_of(copy, blocks, what):
            if layer.name not in done and not isinstance(layer, NORMALISING):
                layer.set_weights([random.permuted(weight) for weight in layer.get_weights()])
            done.add(layer.name)
        maps = method(copy, images, which, fields)
        similarity[name] = float(np.mean([rank_correlation(a, b) for a, b in zip(own, maps, strict=True)]))
    return Sanity(similarity, len(images))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation of two arrays, ties by their mean rank; 0 where one is constant."""
    ranks = [_ranks(values.ravel()) for values in (a, b)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = np.sqrt(np.prod([values @ values for values in centred]))
    return float(centred[0] @ centred[1] / scale) if scale > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts / 2)[place]
