"""What torch calls the layers of a backbone, and in what the two networks differ: one row a family.

Layers are matched by name, since a `.safetensors` file keeps no order, and a shortcut's convolution stands after the
others of its block in torch and before them in Keras.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kmedtl.backbones.efficientnet_lite import reference_names
from kmedtl.backbones.spec import Backbone
from kmedtl.errors import UserError

PREFIX = re.compile(r"^(?:(?:module|model|features|encoder|backbone)\.)+")
HEADS = ("classifier", "fc", "_fc", "head", "heads", "last_linear", "op_threshs")  # first parts of names
COUNTERS = "num_batches_tracked"

Rules = tuple[tuple[str, Callable[..., str]], ...]


@dataclass(frozen=True)
class TorchLayout:
    """A family of backbones as torch knows it.

    Attributes:
        backbones: names of the registry.
        rules: (pattern of a Keras layer's name, function from the numbers in it to torch's name of the layer).
        aliases: (pattern, replacement) of names that other versions give to the same layers.
        epsilon: of torch's BatchNorm.
        without_bias: torch's convolutions have no bias where Keras' have one.
        differs: in what the network here computes otherwise than torch's; empty: in nothing.
        listed: returns Keras' name → torch's where no pattern tells it.
    """

    backbones: tuple[str, ...]
    rules: Rules = ()
    aliases: tuple[tuple[str, str], ...] = ()
    epsilon: float = 1e-5
    without_bias: bool = False
    differs: str = ""
    listed: Callable[[dict[str, Any]], dict[str, str]] | None = None


def _lite(options: dict[str, Any]) -> dict[str, str]:
    pairs = reference_names(**options).items()
    return {f"{stem}_{kind}": name for stem, names in pairs for kind, name in zip(("conv", "bn"), names, strict=True)}


LAYOUTS = (
    TorchLayout(  # torchvision.models.densenet, and torchxrayvision's
        ("DenseNet121", "DenseNet169", "DenseNet201"),
        rules=(
            (r"conv1_conv", lambda: "conv0"),
            (r"conv1_bn", lambda: "norm0"),
            (r"conv(\d+)_block(\d+)_0_bn", lambda stage, n: f"denseblock{stage - 1}.denselayer{n}.norm1"),
            (r"conv(\d+)_block(\d+)_1_conv", lambda stage, n: f"denseblock{stage - 1}.denselayer{n}.conv1"),
            (r"conv(\d+)_block(\d+)_1_bn", lambda stage, n: f"denseblock{stage - 1}.denselayer{n}.norm2"),
            (r"conv(\d+)_block(\d+)_2_conv", lambda stage, n: f"denseblock{stage - 1}.denselayer{n}.conv2"),
            (r"pool(\d+)_bn", lambda stage: f"transition{stage - 1}.norm"),
            (r"pool(\d+)_conv", lambda stage: f"transition{stage - 1}.conv"),
            (r"bn", lambda: "norm5"),
        ),
        # torchvision's files of 2017, and a Sequential around the features.
        aliases=((r"^0\.", ""), (r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2")),
    ),
    TorchLayout(  # torchvision.models.resnet
        ("ResNet50", "ResNet101", "ResNet152"),
        rules=(
            (r"conv1_conv", lambda: "conv1"),
            (r"conv1_bn", lambda: "bn1"),
            (r"conv(\d+)_block(\d+)_0_conv", lambda stage, n: f"layer{stage - 1}.{n - 1}.downsample.0"),
            (r"conv(\d+)_block(\d+)_0_bn", lambda stage, n: f"layer{stage - 1}.{n - 1}.downsample.1"),
            (r"conv(\d+)_block(\d+)_(\d)_conv", lambda stage, n, part: f"layer{stage - 1}.{n - 1}.conv{part}"),
            (r"conv(\d+)_block(\d+)_(\d)_bn", lambda stage, n, part: f"layer{stage - 1}.{n - 1}.bn{part}"),
        ),
        # A Sequential of a ResNet's parts, which numbers them.
        aliases=(
            (r"^0\.(?=weight)", "conv1."),
            (r"^1\.(?=\w+$)", "bn1."),
            *((rf"^{number + 3}\.(?=\d)", f"layer{number}.") for number in (1, 2, 3, 4)),
        ),
        without_bias=True,
        differs=(
            "the first 1×1 convolution of stages 3 to 5 has the stride; where the original has it in the 3×3 "
            "convolution, as torchvision's, features differ"
        ),
    ),
    TorchLayout(  # torchvision.models.mobilenet_v2
        ("MobileNetV2_035", "MobileNetV2"),
        rules=(
            (r"Conv1", lambda: "0.0"),
            (r"bn_Conv1", lambda: "0.1"),
            (r"expanded_conv_depthwise", lambda: "1.conv.0.0"),
            (r"expanded_conv_depthwise_BN", lambda: "1.conv.0.1"),
            (r"expanded_conv_project", lambda: "1.conv.1"),
            (r"expanded_conv_project_BN", lambda: "1.conv.2"),
            (r"block_(\d+)_expand", lambda n: f"{n + 1}.conv.0.0"),
            (r"block_(\d+)_expand_BN", lambda n: f"{n + 1}.conv.0.1"),
            (r"block_(\d+)_depthwise", lambda n: f"{n + 1}.conv.1.0"),
            (r"block_(\d+)_depthwise_BN", lambda n: f"{n + 1}.conv.1.1"),
            (r"block_(\d+)_project", lambda n: f"{n + 1}.conv.2"),
            (r"block_(\d+)_project_BN", lambda n: f"{n + 1}.conv.3"),
            (r"Conv_1", lambda: "18.0"),
            (r"Conv_1_bn", lambda: "18.1"),
        ),
        differs=(
            "convolutions with a stride pad maps of even size below and to the right alone; where the original pads "
            "all sides, as torchvision's, features differ"
        ),
    ),
    TorchLayout(  # efficientnet_lite_pytorch, which pads as TensorFlow does
        ("EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2"),
        epsilon=1e-3,
        listed=_lite,
        differs=(
            "convolutions with a stride pad as TensorFlow does; where the original pads all sides, features differ"
        ),
    ),
    TorchLayout(  # torchvision.models.vgg16, without BatchNorm
        ("VGG16",), rules=((r"block(\d)_conv(\d)", lambda block, n: str((0, 5, 10, 17, 24)[block - 1] + 2 * (n - 1))),)
    ),
    TorchLayout(
        ("VGG19",), rules=((r"block(\d)_conv(\d)", lambda block, n: str((0, 5, 10, 19, 28)[block - 1] + 2 * (n - 1))),)
    ),
)  # fmt: skip


def layout_of(row: Backbone) -> TorchLayout:
    """Return how torch lays out a backbone.

    Raises:
        UserError: nobody wrote down how.
    """
    for layout in LAYOUTS:
        if row.name in layout.backbones:
            return layout
    known = ", ".join(name for layout in LAYOUTS for name in layout.backbones)
    raise UserError(
        f"weights of {row.name}: torch's names of its layers are not known, only those of {known}; give a file "
        "of Keras, or choose one of these."
    )


def torch_names(layout: TorchLayout, row: Backbone, layers: Iterable[str]) -> dict[str, str]:
    """Return torch's name of each Keras layer, by the latter."""
    if layout.listed:
        return layout.listed(dict(row.options))
    return {layer: _by_rule(layout.rules, layer) for layer in layers}


def canonical(layout: TorchLayout, tensor: str) -> str:
    """Return a tensor's name without what wrappers put before it, as the family's own version has it."""
    name = PREFIX.sub("", tensor)
    for pattern, replacement in layout.aliases:
        name = re.sub(pattern, replacement, name)
    return name


def is_head(name: str) -> bool:
    """Tell whether a tensor, by its canonical name, belongs to what is stacked on the backbone."""
    return name.partition(".")[0] in HEADS


def is_counter(name: str) -> bool:
    """Tell whether a tensor counts BatchNorm's batches, which is no weight."""
    return name.rpartition(".")[2] == COUNTERS


def _by_rule(rules: Rules, layer: str) -> str:
    for pattern, name in rules:
        if match := re.fullmatch(pattern, layer):
            return name(*map(int, match.groups()))
    raise AssertionError(f"a layer that no rule names: {layer}")
