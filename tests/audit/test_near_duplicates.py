"""Copies are found, different images are not, and blank ones are no copies of anything."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from kmedtl.audit.near_duplicates import fingerprint, near_duplicates


def scenes(count: int, size: int = 96, seed: int = 0) -> np.ndarray:
    """Return uint8 (count, size, size, 1): smooth random textures, each with detail of its own."""
    noise = np.random.default_rng(seed).normal(size=(count, size, size))
    texture = gaussian_filter(noise, (0, size / 64, size / 64)) + 3 * gaussian_filter(noise, (0, size / 12, size / 12))
    texture /= texture.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + 40 * texture, 0, 255).astype(np.uint8)[..., None]


def jpeg(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file))[..., None]


def half_size(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels[..., 0])
    return np.asarray(image.reduce(2).resize(image.size, Image.Resampling.BILINEAR))[..., None]


def crop_one_percent(pixels: np.ndarray) -> np.ndarray:
    image, edge = Image.fromarray(pixels[..., 0]), len(pixels) * 0.01
    box = (edge, edge, len(pixels) - edge, len(pixels) - edge)
    return np.asarray(image.resize(image.size, Image.Resampling.BILINEAR, box=box))[..., None]


def marker(pixels: np.ndarray) -> np.ndarray:
    marked, size = pixels.copy(), len(pixels)
    marked[size // 20 : size // 8, size // 20 : size // 8] = 255
    return marked


CHANGES = {
    "jpeg": jpeg,
    "half size": half_size,
    "crop": crop_one_percent,
    "marker": marker,
    "brightness": lambda pixels: (np.clip(pixels.astype(int) + 30, 0, 255)).astype(np.uint8),
    "contrast": lambda pixels: (64 + pixels * 0.5).astype(np.uint8),
    "gamma": lambda pixels: (255 * (pixels / 255) ** 1.6).astype(np.uint8),
    "16 grays": lambda pixels: pixels // 16 * 17,
    "mirrored": lambda pixels: pixels[:, ::-1],
    "inverted": lambda pixels: 255 - pixels,
    "upside down": lambda pixels: pixels[::-1],
    "turned by 90": lambda pixels: np.rot90(pixels, 1),
    "turned by 180": lambda pixels: np.rot90(pixels, 2),
    "turned by 270": lambda pixels: np.rot90(pixels, 3),
    "turned, mirrored and saved again": lambda pixels: jpeg(np.rot90(pixels, 1)[:, ::-1]),
    "turned the other way, inverted": lambda pixels: 255 - np.rot90(pixels[:, ::-1], 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found(change):
    images = scenes(20)
    copies = np.stack([CHANGES[change](image) for image in images])
    prints = np.concatenate([fingerprint(images), fingerprint(copies)])
    assert near_duplicates(prints) == [(row, row + 20) for row in range(20)]


def test_different_images_are_not_copies():
    assert near_duplicates(fingerprint(scenes(300))) == []


@pytest.mark.parametrize("size", [32, 50, 96, 256])
def test_fingerprint_is_small_and_of_length_one_at_any_size(size):
    prints = fingerprint(scenes(3, size))
    assert prints.shape == (3, 1024)
    assert prints.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(prints.astype(np.float32), axis=1), 1, atol=1e-2)


def test_gray_stored_as_rgb_is_the_same_image():
    images = scenes(3)
    np.testing.assert_allclose(fingerprint(np.repeat(images, 3, axis=3)), fingerprint(images), atol=1e-3)


def test_no_images_have_no_copies():
    assert near_duplicates(fingerprint(np.empty((0, 64, 64, 3), np.uint8))) == []


def test_blank_images_are_no_copies_of_anything():
    random = np.random.default_rng(0)
    gray = np.full((4, 64, 64, 1), 90, np.uint8)
    noisy = gray[:2] + random.integers(0, 2, (2, 64, 64, 1), dtype=np.uint8)
    labelled = np.zeros((2, 64, 64, 1), np.uint8)
    labelled[:, 4:8, 4:12] = 255  # black but for the same marker in the corner
    prints = fingerprint(np.concatenate([gray, noisy, labelled]))
    assert not prints.any()
    assert near_duplicates(prints) == []


def test_pairs_across_blocks_are_found(monkeypatch):
    monkeypatch.setattr("kmedtl.audit.near_duplicates.BLOCK", 7)
    images = scenes(20)
    prints = fingerprint(np.concatenate([images, images[:3], images[:1]]))
    assert near_duplicates(prints) == [(0, 20), (0, 23), (1, 21), (2, 22), (20, 23)]


@pytest.mark.real_data
def test_on_real_films_only_the_same_film_is_a_copy(real_data):
    files = sorted((real_data / "cxr_pneumonia").rglob("*.jpeg"))[::8]
    films = np.stack([np.asarray(Image.open(file).convert("L").resize((224, 224))) for file in files])[..., None]
    copies = np.stack([half_size(jpeg(crop_one_percent(film))) for film in films[:100]])
    pairs = near_duplicates(fingerprint(np.concatenate([films, copies])))
    expected = {(row, row + len(films)) for row in range(100)}
    assert len(expected & set(pairs)) >= 98
    others = [(i, j) for i, j in pairs if j < len(films)]
    assert all(files[i].read_bytes() == files[j].read_bytes() for i, j in others)
