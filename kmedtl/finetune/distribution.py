"""On what a model trains: one processor, several alike, a TPU; the code is the same."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from kmedtl.errors import UserError
from kmedtl.recipe.stage import SCALES_OUT, Training


@contextlib.contextmanager
def devices(training: Training) -> Iterator[None]:
    """Let what is built and trained in the block use the devices and the precision of `training`.

    Raises:
        UserError: no TPU, or a cluster of several workers, which Keras 3 does not support.
    """
    if os.environ.get("TF_CONFIG"):
        raise UserError(
            "TF_CONFIG is set, which names a cluster: expected one machine, since Keras 3 does not train on "
            f"MultiWorkerMirroredStrategy; unset it. {SCALES_OUT}"
        )
    strategy = _strategy(training.strategy)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(
        training.precision if training.precision == "float32" else f"mixed_{training.precision}"
    )
    try:
        with strategy.scope():
            yield
    finally:
        keras.config.set_dtype_policy(before)


def is_plain() -> bool:
    """Tell whether what is built here is of float32 and on the default device."""
    return keras.config.dtype_policy().name == "float32" and not tf.distribute.has_strategy()


def _strategy(name: str) -> tf.distribute.Strategy:
    gpus = tf.config.list_logical_devices("GPU")
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        except (ValueError, tf.errors.OpError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"training.strategy: no TPU was found ({reason}); use auto.") from None
        return tf.distribute.TPUStrategy(resolver)
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        alike = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in alike])
    if name == "cpu":
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    return tf.distribute.get_strategy()
