"""Blocks of a whole model (backbone and head): which layers they hold, where they end, which of them train.

Keras reads `trainable` when `compile` builds the training step: after any change made here, compile anew, or
`fit` goes on as before.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import keras
from keras import KerasTensor

from kmedtl.backbones import registry
from kmedtl.backbones.spec import FEATURES
from kmedtl.errors import UserError, nearest

HEAD = "head"
SHRUNK = 1.5  # a map whose side is so many times smaller has another stride; less is padding
BatchNorm = Literal["frozen", "trainable"]
Row = tuple[str, tuple[str, ...]]  # a block's name and ends, as the registry has them


@dataclass(frozen=True)
class Block:
    """A block: its name, the names of its layers that have weights, and of the operations it ends in."""

    name: str
    layers: tuple[str, ...]
    ends: tuple[str, ...]


def block_map(model: keras.Model, name: str) -> tuple[Block, ...]:
    """Return the blocks of `model`, a backbone `name` and whatever is stacked on it, from input to output.

    A block is every layer up to its ends that is in no earlier block; the last block is `head`: every layer
    after the backbone. Each layer with weights is in exactly one block. A backbone that `build_features` truncated
    has the blocks that were kept.

    Raises:
        UserError: an unknown backbone, or a model that was not built on it.
    """
    operations = {op.name: op for op in model.operations}
    rows = _kept(operations, registry.get(name).blocks)
    for end in (end for _, ends in rows for end in ends if end not in operations):
        raise UserError(f"blocks of {name}: expected a model built on it. Received: {model.name} without {end!r}.")
    blocks = []
    seen: set[str] = set()
    for block, ends in rows:
        upto = keras.Model(model.inputs, [operations[end].output for end in ends])
        blocks.append(Block(block, _weighted(upto, seen), ends))
        seen.update(op.name for op in upto.operations)
    return (*blocks, Block(HEAD, _weighted(model, seen), tuple(model.output_names)))


def _kept(operations: Mapping[str, keras.Operation], rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows up to the block whose end goes into the feature map: a whole backbone has none but its last."""
    features = operations.get(FEATURES)
    for number, (block, ends) in enumerate(rows[:-1]):
        end = operations.get(ends[0])
        if features and end and end.output is features.input:
            return (*rows[:number], (block, (FEATURES,)))
    return rows


def end_tensors(model: keras.Model, block: Block) -> list[KerasTensor]:
    """Return the tensors that `block` hands on, in the order of its ends: cut there to split the model."""
    operations = {op.name: op for op in model.operations}
    return [operations[end].output for end in block.ends]


def frontier(model: keras.Model, ends: Sequence[KerasTensor]) -> list[KerasTensor]:
    """Return every tensor that crosses a cut at `ends`: these, then what else later operations take from before it.

    Such are the skips of a decoder, from input to output, and outputs of the model that are made before the cut.
    """
    before = {id(operation) for operation in keras.Model(model.inputs, list(ends)).operations}
    crossing = {id(end): end for end in ends}
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    taken = [tensor for node in nodes if id(node.operation) not in before for tensor in node.input_tensors]
    for tensor in (*taken, *model.outputs):
        if id(tensor._keras_history.operation) in before:
            crossing.setdefault(id(tensor), tensor)
    return list(crossing.values())


def pyramid(model: keras.Model, blocks: Sequence[Block]) -> dict[int, KerasTensor]:
    """Return the feature maps of a backbone by stride, from the finest: of each the last that a block ends in.

    The first block may shrink the image by any power of two (ConvNeXt and ResNet by 4), each later one halves it at
    most once; padding makes the side of the map only about a stride-th of the image's. Blocks that hand on two tensors
    (of NASNet) give the first of them that has their stride.
    """
    found, stride, side = {}, 1, model.inputs[0].shape[1]
    for number, block in enumerate(blocks):
        for end in end_tensors(model, block):
            if len(end.shape) != 4:
                continue
            ratio = side / end.shape[1]
            if ratio > SHRUNK:
                stride, side = stride * (2 ** round(math.log2(ratio)) if number == 0 else 2), end.shape[1]
            found[stride] = end
            break
    return found


def select(blocks: Sequence[Block], what: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the blocks chosen by `what`, from input to output.

    `what` is one term, several with commas between, or a list of such: `all`; `last:2`, the head and the last
    two blocks of the backbone; a block's name (`head` is one); or a glob (`block[67]`). An empty list chooses none.

    Raises:
        UserError: a term that chooses nothing, with the nearest name.
    """
    terms = [what] if isinstance(what, str) else what
    names = [block.name for block in blocks]
    chosen = {name for term in terms for part in term.split(",") for name in _chosen(names, part.strip())}
    return tuple(name for name in names if name in chosen)


def set_trainable(
    model: keras.Model, blocks: Sequence[Block], what: str | Sequence[str], batch_norm: BatchNorm = "frozen"
) -> tuple[str, ...]:
    """Make the blocks chosen by `what` trainable and freeze all others; compile the model afterwards.

    With `batch_norm="frozen"` no BatchNormalization of any block trains: it keeps its statistics and normalises
    with them during `fit` too, which a small medical data set needs. With `trainable` it goes with its block.

    Returns:
        the names of the trainable blocks, from input to output.

    Raises:
        UserError: a term that chooses no block, or an unknown `batch_norm`.
    """
    chosen = select(blocks, what)
    freeze(model, blocks, "all")
    return unfreeze(model, blocks, chosen, batch_norm)


def freeze(model: keras.Model, blocks: Sequence[Block], what: str | Sequence[str]) -> tuple[str, ...]:
    """Freeze the blocks chosen by `what`, leave the others as they are, and return the names of the frozen."""
    chosen = select(blocks, what)
    for layer in layers_of(model, blocks, chosen):
        layer.trainable = False
    return chosen


def unfreeze(
    model: keras.Model, blocks: Sequence[Block], what: str | Sequence[str], batch_norm: BatchNorm = "frozen"
) -> tuple[str, ...]:
    """Make the blocks chosen by `what` trainable, leave the others as they are, and return the chosen names.

    `batch_norm` as in `set_trainable`.
    """
    if batch_norm not in ("frozen", "trainable"):
        raise UserError(f"batch_norm: expected frozen or trainable. Received: {batch_norm!r}.")
    chosen = select(blocks, what)
    if not model.trainable:  # it outranks its layers' own flags, and raising it raises theirs
        model.trainable = True
        freeze(model, blocks, "all")
    for layer in layers_of(model, blocks, chosen):
        layer.trainable = True
    if batch_norm == "frozen":
        for layer in layers_of(model, blocks):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    return chosen


def _chosen(names: Sequence[str], term: str) -> Sequence[str]:
    if term == "all":
        return names
    if last := re.fullmatch(r"last:(\d+)", term):
        count, most = int(last[1]), len(names) - 1
        if count > most:
            raise UserError(f"blocks {term!r}: the backbone has {most} blocks. Received: {count}.")
        return names[most - count :]
    chosen = fnmatch.filter(names, term)
    if not chosen:
        raise UserError(f"blocks {term!r}: no such block. {nearest(term, [*names, 'all', 'last:1'])}")
    return chosen


def _weighted(model: keras.Model, seen: set[str]) -> tuple[str, ...]:
    return tuple(layer.name for layer in model.layers if layer.weights and layer.name not in seen)


def layers_of(model: keras.Model, blocks: Sequence[Block], what: str | Sequence[str] = "all") -> Iterator[keras.Layer]:
    """Yield the layers with weights of the chosen blocks, those inside a Sequential (ConvNeXt has some) as well."""
    layers, chosen = {layer.name: layer for layer in model.layers}, select(blocks, what)
    for block in blocks:
        if block.name in chosen:
            for name in block.layers:
                yield from _with_inner(layers[name])


def trainable_kernels(model: keras.Model, blocks: Sequence[Block]) -> dict[str, list[keras.Variable]]:
    """Return the trainable kernels of each block, in order; of a part of a model those that it has."""
    held = {layer.name: layer for layer in model.layers}
    return {
        block.name: [
            variable
            for name in block.layers
            if name in held
            for variable in held[name].trainable_variables
            if "kernel" in variable.path
        ]
        for block in blocks
    }


def _with_inner(layer: keras.Layer) -> Iterator[keras.Layer]:
    yield layer
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from _with_inner(inner)
