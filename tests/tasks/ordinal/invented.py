"""Grades that nobody gave."""

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.ordinal import GRADE
from kmedtl.tasks.task import Examples

GRADES = ("0", "1", "2", "3")


def noisy(count, seed):
    """Return probabilities of lying above each cut, (N, K − 1), and the grades that they speak of with errors."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, len(GRADES), count)
    found = truth[:, None] + random.normal(0, 0.8, (count, 1)) - np.arange(len(GRADES) - 1) - 0.3
    return 1 / (1 + np.exp(-2 * found)), truth


def examples_of(truth, outputs, each=2):
    """Return images of patients with so many each."""
    ids = np.array([f"{number}.png" for number in range(len(truth))], object)
    patients = np.array([f"p{number // each}" for number in range(len(truth))], object)
    targets = {GRADE: np.asarray(truth, np.float32)[:, None]}
    groups = pd.DataFrame({"sex": np.where(np.arange(len(truth)) % 4 < 2, "F", "M")})
    return Examples(ids, patients, targets, outputs, groups)
