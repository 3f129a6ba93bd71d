"""How much a slice counts in the answer for its volume, as a head learns it."""

from __future__ import annotations

from keras import KerasTensor, layers

from kmedtl.edge.pooling import ATTENTION, KNOTS
from kmedtl.recipe import Head


def slice_attention(vector: KerasTensor, head: Head) -> KerasTensor:
    """Return the score of each slice, float32 (N, KNOTS): one for each place along the volume that it may lie at.

    It is wₖᵀ(tanh(V h) ⊙ sigmoid(U h)) + bₖ of a slice's vector h at the knot k; between knots it is interpolated, so
    that the place is an input of the attention and none of the network. All are 0 before anything is learned: the mean.
    The softmax within a volume is that of `kmedtl.edge.pooling.shares`.

    Source: Ilse et al., Attention-based Deep Multiple Instance Learning (2018), equation 9 (gated).
    """
    content = layers.Dense(head.hidden, activation="tanh", name="slices_content")(vector)
    gate = layers.Dense(head.hidden, activation="sigmoid", name="slices_gate")(vector)
    gated = layers.Multiply(name="slices_gated")([content, gate])
    return layers.Dense(KNOTS, kernel_initializer="zeros", name=ATTENTION, dtype="float32")(gated)
