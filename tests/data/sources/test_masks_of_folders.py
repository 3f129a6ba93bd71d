"""Masks in folders and tables without classes: splits, pairing, and what is told of those that find no image."""

from pathlib import Path

import pytest

from kmedtl.data import sources
from kmedtl.recipe import Data
from tests.data.sources.test_layouts import mask, noise


def load(root, **settings):
    return sources.load(Data(str(root), **settings), seed=0, labelled=False)


def fill(root, *pairs):
    """Write an image and its mask for each pair of names."""
    for number, (image, *masks) in enumerate(pairs):
        noise(root / image, number)
        for name in masks:
            mask(root / name)
    return root


def owners(found, root):
    """Return the masks of each image, by their names below the folder."""
    return {
        name: [Path(part).relative_to(root).as_posix() for part in cell.split("|") if part]
        for name, cell in zip(found.table["id"], found.table["mask"], strict=True)
    }


@pytest.mark.parametrize("layout", ["{}/images/{}{}.png {}/masks/{}{}.png", "images/{}/{}{}.png masks/{}/{}{}.png"])
@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Validation", "Testing")])
def test_split_folders_without_classes_are_kept(tmp_path, layout, names):
    image, of_it = layout.split()
    fill(tmp_path, *((image.format(part, part, n), of_it.format(part, part, n)) for part in names for n in (1, 2)))
    found = load(tmp_path)
    assert list(found.table.groupby("split").size().items()) == [("test", 2), ("train", 2), ("val", 2)]
    assert any("Splits by folders" in note for note in found.notes) == (names[0] != "train")
    assert all((found.table["mask"] != "").to_numpy())
