"""How many copies `kmedtl.audit.near_duplicates` finds, change by change, and which pairs of a folder it flags.

    python benchmarks/near_duplicates.py FOLDER [--patient REGEX] [--copies 400]

Copies are made of images drawn with seed 0, at 224 pixels. Pairs of one file twice are counted apart.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import time
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from kmedtl.audit.near_duplicates import fingerprint, near_duplicates

SIZE = 224
SUFFIXES = {".jpg", ".jpeg", ".png"}
BILINEAR = Image.Resampling.BILINEAR


def jpeg(quality):
    def change(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return change


def through(size):
    return lambda image: image.resize((size, size), BILINEAR).resize(image.size, BILINEAR)


def gray(curve):
    return lambda image: image.point([int(np.clip(curve(value), 0, 255)) for value in range(256)])


def crop(left, top, right, bottom):
    return lambda image: image.resize(
        image.size, BILINEAR, box=(SIZE * left, SIZE * top, SIZE * (1 - right), SIZE * (1 - bottom))
    )


def marker(image):
    pixels = np.array(image)
    pixels[11:25, 11:33] = 255
    return Image.fromarray(pixels)


def together(image):
    return gray(lambda value: 255 * (value / 255) ** 1.3)(jpeg(60)(crop(0.01, 0.01, 0.01, 0.01)(image)))


CHANGES = {
    "JPEG, quality 90": jpeg(90),
    "JPEG, quality 60": jpeg(60),
    "JPEG, quality 30": jpeg(30),
    "to 50 % and back": through(SIZE // 2),
    "to 512 px and back": through(512),
    "brightness +40": gray(lambda value: value + 40),
    "brightness −40": gray(lambda value: value - 40),
    "contrast × 0.6": gray(lambda value: 128 + (value - 128) * 0.6),
    "contrast × 1.5": gray(lambda value: 128 + (value - 128) * 1.5),
    "gamma 0.6": gray(lambda value: 255 * (value / 255) ** 0.6),
    "gamma 1.6": gray(lambda value: 255 * (value / 255) ** 1.6),
    "16 gray levels": gray(lambda value: value // 16 * 17),
    "blur, 1 px": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "blur, 2 px": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "marker in a corner": marker,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "inverted": gray(lambda value: 255 - value),
    "crop 1 % a side": crop(0.01, 0.01, 0.01, 0.01),
    "crop 1 %, JPEG 60, gamma 1.3": together,
    "crop 2 % a side": crop(0.02, 0.02, 0.02, 0.02),
    "crop 2 % of one side": crop(0.02, 0, 0, 0),
    "crop 4 % of one side": crop(0.04, 0, 0, 0),
    "crop 4 % a side": crop(0.04, 0.04, 0.04, 0.04),
    "turned by 2°": lambda image: image.rotate(2, BILINEAR),
    "turned by 5°": lambda image: image.rotate(5, BILINEAR),
}


def read(file):
    with Image.open(file) as image:
        return np.asarray(image.convert("L").resize((SIZE, SIZE), BILINEAR))[..., None]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patient", help="regular expression whose match in the file name is the patient")
    parser.add_argument("--copies", type=int, default=400)
    options = parser.parse_args()
    files = sorted(file for file in options.folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    files = [file for file in files if "_mask" not in file.stem]
    images = np.stack([read(file) for file in files])

    start = time.perf_counter()
    prints = np.concatenate([fingerprint(images[row : row + 64]) for row in range(0, len(images), 64)])
    middle = time.perf_counter()
    pairs = near_duplicates(prints)
    seconds = middle - start, time.perf_counter() - middle
    print(f"{len(files)} images; fingerprints {seconds[0]:.1f} s, comparison {seconds[1]:.1f} s")
    report_pairs(files, pairs, options.patient)

    chosen = np.random.default_rng(0).permutation(len(images))[: options.copies]
    for name, change in CHANGES.items():
        copies = np.stack([np.asarray(change(Image.fromarray(images[row, ..., 0])))[..., None] for row in chosen])
        found = near_duplicates(np.concatenate([prints[chosen], fingerprint(copies)]))
        own = sum(j - i == len(chosen) for i, j in found)
        print(f"{name:<30} {own / len(chosen):>7.1%} of {len(chosen)}")


def report_pairs(files, pairs, pattern):
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    patients = [re.search(pattern, file.name)[0] if pattern else file.name for file in files]
    equal = sum(digests[i] == digests[j] for i, j in pairs)
    byte_equal = sum(comb(digests.count(digest), 2) for digest in set(digests))
    others = [(i, j) for i, j in pairs if digests[i] != digests[j]]
    strangers = [(i, j) for i, j in others if patients[i] != patients[j]]
    counted = sum(patients[i] != patients[j] for i, j in combinations(range(len(files)), 2))
    print(f"{equal} of {byte_equal} byte-equal pairs; {len(others)} others, of which different patients:")
    print(f"{len(strangers)} of {counted} pairs, {len(strangers) / counted * 1e6:.2f} in a million")
    for i, j in strangers:
        print(f"    {files[i].name} = {files[j].name}")


if __name__ == "__main__":
    main()
