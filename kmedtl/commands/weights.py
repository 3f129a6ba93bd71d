"""`kmedtl weights`: weights that another program trained, as a file that a recipe takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kmedtl.errors import UserError

if TYPE_CHECKING:
    from kmedtl.backbones.weights_card import InputRange

HELP = "import weights that another program trained"


def add_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    add = actions.add_parser("import", help="match a file with a backbone, and write it with a card")
    add.add_argument("file", type=Path, metavar="FILE", help=".safetensors, .pt, .pth, .keras, .weights.h5 or .h5")
    add.add_argument("--backbone", metavar="NAME", required=True, help="a name of `kmedtl backbones`")
    add.add_argument("--licence", metavar="TEXT", required=True, help="the terms that the weights come under")
    add.add_argument("--source", metavar="TEXT", default="", help="where they were had from")
    add.add_argument(
        "--input-range",
        type=_input_range,
        metavar="LOW,HIGH",
        default="backbone",
        help="what 0 and 255 become, as --input-range=-1024,1024, or imagenet: the mean and deviation of torchvision "
        "(default: as the backbone's own ImageNet weights)",
    )
    add.add_argument("--channel-order", choices=("rgb", "bgr"), help="of three channels (default: as the range has it)")
    add.add_argument(
        "--trained-on", nargs="+", metavar="TEXT", default=[], help="names of data sets that they have seen"
    )
    add.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default: FILE's name, .weights.h5)")


def command(options: argparse.Namespace) -> int:
    from kmedtl.system.native_logs import loading_tensorflow
    from kmedtl.system.printable import shown

    if not options.file.is_file():
        raise UserError(f"{options.file}: no such file; check the path.")
    with loading_tensorflow():
        from kmedtl.backbones.import_weights import WEIGHTS, Statement, import_weights

    out = options.out or Path(f"{options.file.name.removesuffix(WEIGHTS).removesuffix(options.file.suffix)}{WEIGHTS}")
    said = Statement(
        options.licence, options.source, tuple(options.trained_on), options.input_range, options.channel_order
    )
    card = import_weights(options.file, options.backbone, said, out)
    lines = [f"Note: {text}." for text in card.adaptations]
    if card.left_out:
        lines.append(f"Left out: {len(card.left_out)} tensors of the head, first: {card.left_out[0]}.")
    settings = f"--set backbone.name={card.backbone} --set backbone.weights={out}"
    print("\n".join(map(shown, [*lines, f"Weights: {out}", f"Next:    kmedtl run RECIPE {settings}"])))
    return 0


def _input_range(text: str) -> InputRange:
    """Return the range that an option gives.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if text in ("backbone", "imagenet"):
        return text  # type: ignore[return-value]
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LOW,HIGH or imagenet. Received: {text!r}") from None
    return low, high
