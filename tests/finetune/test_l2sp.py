import keras
import numpy as np

from kmedtl.finetune.l2sp import pulled_to_start


def strayed(strength):
    """Return how far a kernel gets from its start in ten steps towards a far target."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    kernel = model.layers[-1].kernel
    start = kernel.numpy()
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    with pulled_to_start([kernel], strength):
        model.compile(keras.optimizers.SGD(0.02), "mse")
        for _ in range(10):
            model.train_on_batch(x, np.full((16, 2), 9.0, "float32"))
        penalty = float(sum(model.losses))
    assert model.losses == []
    distance = float(np.square(kernel.numpy() - start).sum())
    assert np.isclose(penalty, strength * distance, rtol=1e-4)
    return distance


def test_the_penalty_is_the_formulas_and_holds_the_kernel_back():
    assert strayed(5.0) < 0.5 * strayed(0.0)
