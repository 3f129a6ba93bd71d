"""One optimizer a stage: AdamW, warmed up and then lowered along a cosine."""

from __future__ import annotations

import keras

from kmedtl.recipe import Stage


def optimizer(stage: Stage, steps: int) -> keras.optimizers.Optimizer:
    """Return a new AdamW for a stage of `steps` steps; biases and norms do not decay.

    Sources: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019); the cosine from SGDR (2017);
    the linear warm-up from Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.2.
    """
    warmup = round(stage.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=stage.lr / max(warmup, 1) if warmup else stage.lr,
        decay_steps=max(steps - warmup, 1),
        alpha=0.01,
        warmup_target=stage.lr if warmup else None,
        warmup_steps=warmup,
    )
    adamw = keras.optimizers.AdamW(schedule, weight_decay=stage.weight_decay)
    adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adamw
