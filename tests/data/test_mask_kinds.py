"""Masks of several kinds beside one image are told apart by folders and names."""

import hashlib

import pandas as pd
import pytest

from kmedtl.data.mask_kinds import kinds_of_masks

LAYOUTS = {
    "vessels and field of view, in folders": (
        ["images/{n}_training.tif", "1st_manual/{n}_manual1.gif", "mask/{n}_training_mask.gif"],
        {"1st_manual": "1st_manual/*", "mask": "mask/*"},
    ),
    "left and right, called like their image": (
        ["CXR/c_{n}_1.png", "leftMask/c_{n}_1.png", "rightMask/c_{n}_1.png"],
        {"leftmask": "leftmask/*", "rightmask": "rightmask/*"},
    ),
    "by names, in one folder": (
        ["a{n}.png", "a{n}_lung.png", "a{n}_lesion.png"],
        {"lesion": "*lesion*", "lung": "*lung*"},
    ),
    "several lesions of an image": (["b ({n}).png", "b ({n})_mask.png", "b ({n})_mask_1.png"], {}),
    "one nucleus a file": (["{n}/images/{h}.png", "{n}/masks/{g}.png", "{n}/masks/{g}0.png"], {}),
    "one mask each": (["images/{n}.png", "masks/{n}.png"], {}),
    "names that no pattern tells apart": (["a{n}.png", "a{n}_lung.png", "a{n}_lung_lesion.png"], {}),
}


def named(path: str, number: int) -> str:
    """Return the path of an image's file; `h` and `g` are hashes, as of the nuclei of the 2018 Data Science Bowl."""
    hashes = (hashlib.sha256(f"{number}{letter}".encode()).hexdigest() for letter in "hg")
    return "/d/" + path.format(n=number, **dict(zip("hg", hashes, strict=True)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_kinds_of_masks_are_told_by_folders_and_names(name):
    (image, *masks), expected = LAYOUTS[name]
    rows = [
        {"path": named(image, number), "mask": "|".join(named(mask, number) for mask in masks)}
        for number in range(21, 31)
    ]
    bare = {"path": "/d/no.png", "mask": ""}
    assert kinds_of_masks(pd.DataFrame([*rows, bare])) == expected


def test_no_mask_at_all_is_no_kind():
    assert kinds_of_masks(pd.DataFrame({"path": ["a.png"], "mask": [""]})) == {}
