"""What another hospital, scanner or archive does to an image that a radiologist would still read.

After Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions, ICLR 2019, with what befalls
radiographs in place of weather. Five severities each; severity 3 is what is plausible elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from kmedtl.data.phantom.scanner import SCANNERS, tone

SEVERITIES = (1, 2, 3, 4, 5)
PLAUSIBLE = 3  # the severity that training.select=worst_shift and the summaries go by
QUANTILES = np.linspace(0, 1, 256)
# Grey values at these quantiles, for want of another source's: 8 % black, 8 % white and between them the tone curve of
# the synthetic thorax's scanner B; films of that scanner have such a histogram to within 3 grey levels on average.
REFERENCE = 255 * tone((QUANTILES - 0.08) / 0.84, SCANNERS["B"])
MARKERS = {
    "L": np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 1]], bool),
    "R": np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 1], [1, 0, 1]], bool),
}
MARKER_GREY = 240

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]  # one image, strength, what is random of it


@dataclass(frozen=True)
class Corruption:
    """One thing that can befall an image.

    Attributes:
        strengths: at severity 1 to 5, rising in effect.
        meaning: what a strength says, with `{}` in its place.
        change: what it does to one image, float32 (H, W, C) in 0–255.
        moves: places lie elsewhere afterwards, so that a mask would no longer fit.
    """

    strengths: tuple[float, ...]
    meaning: str
    change: Change
    moves: bool = False

    def __call__(self, images: np.ndarray, severity: int, seed: int) -> np.ndarray:
        """Return uint8 images (N, H, W, C) corrupted.

        What is random of an image (a direction, a corner, the noise) follows from `seed` and its position alone, and
        is the same at every severity.
        """
        strength = self.strengths[severity - 1]
        changed = np.empty_like(images)
        for position, image in enumerate(images):
            corrupted = self.change(image.astype(np.float32), strength, np.random.default_rng([seed, position]))
            changed[position] = np.rint(np.clip(corrupted, 0, 255))
        return changed

    def at(self, severity: int) -> str:
        """Return what a severity means, in words."""
        return self.meaning.format(f"{self.strengths[severity - 1]:g}")


def suite(reference: np.ndarray = REFERENCE, still: bool = False) -> dict[str, Corruption]:
    """Return every corruption by its name.

    Args:
        still: leave out those that move places.
        reference: grey values (0–255) at the `QUANTILES` of the histogram that `histogram` goes towards.
    """

    def towards_reference(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
        return match(image, reference, strength / 100)

    every = {
        "contrast": Corruption((1.1, 1.2, 1.35, 1.6, 2), "steeper or flatter by a factor of {}", contrast),
        "gamma": Corruption((1.15, 1.3, 1.5, 1.8, 2.2), "grey values as fractions to the power of {0} or 1/{0}", gamma),
        "exposure": Corruption((10, 20, 30, 45, 60), "{} of 255 grey levels brighter or darker", exposure),
        "blur": Corruption((0.3, 0.45, 0.6, 0.9, 1.3), "point spread with a deviation of {} % of the side", blur),
        "noise": Corruption((4, 8, 12, 18, 26), "Gaussian noise, deviation {} of 255 grey levels", noise),
        "resolution": Corruption((1.25, 1.5, 2, 3, 4), "down by a factor of {} and up again", resolution),
        "jpeg": Corruption((70, 50, 30, 15, 8), "JPEG of quality {}", jpeg),
        "letterbox": Corruption((6, 12, 19, 27, 35), "black bars over {} % of height or width", letterbox, True),
        "border_crop": Corruption((2, 4, 6, 9, 12), "{} % cut off at each side, the rest stretched", border_crop, True),
        "marker": Corruption((4, 6, 8, 11, 15), "a bright L or R of {} % of the height in one corner", marker),
        "polarity": Corruption((2, 5, 10, 20, 50), "{} % of the images inverted", polarity),
        "histogram": Corruption((20, 40, 60, 80, 100), "{} % of the way to another histogram", towards_reference),
    }  # fmt: skip
    return {name: one for name, one in every.items() if not (still and one.moves)}


def quantiles_of(images: np.ndarray) -> np.ndarray:
    """Return a source's typical histogram: the grey values at `QUANTILES`, the mean over images (N, H, W, C)."""
    return np.mean([np.quantile(image, QUANTILES) for image in images], axis=0)


def match(image: np.ndarray, reference: np.ndarray, share: float) -> np.ndarray:
    """Move the image's grey values a share of the way to those that give it the reference's histogram.

    Equal grey values stay equal. All channels have one histogram, so that colours keep their order.
    """
    values, inverse, counts = np.unique(image, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / image.size
    matched = (1 - share) * values + share * np.interp(rank, QUANTILES, reference)
    return matched[inverse].reshape(image.shape)


def contrast(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    mean = image.mean()
    return mean + (image - mean) * strength ** either_way(random)


def gamma(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return 255 * (image / 255) ** (strength ** either_way(random))


def exposure(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    # A digital film shows the logarithm of the dose, so more dose adds the same to every grey value.
    return image + strength * either_way(random)


def blur(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    deviation = strength / 100 * image.shape[0]
    return ndimage.gaussian_filter(image, (deviation, deviation, 0), mode="nearest")


def noise(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    # The same in all channels: a grey film stays grey.
    return image + strength * random.standard_normal((*image.shape[:2], 1), np.float32)


def resolution(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    small = resize(image, round(height / strength), round(width / strength), Image.Resampling.BOX)
    return resize(small, height, width)


def jpeg(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    pixels = np.rint(image).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "JPEG", quality=int(strength))
    return np.asarray(Image.open(file), np.float32).reshape(image.shape)


def letterbox(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    upright = random.random() < 0.5
    image = image if upright else image.swapaxes(0, 1)
    height, width = image.shape[:2]
    bar = round(strength / 200 * width)
    boxed = np.zeros_like(image)
    boxed[:, bar : width - bar] = resize(image, height, width - 2 * bar)
    return boxed if upright else boxed.swapaxes(0, 1)


def border_crop(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    down, across = max(1, round(strength / 100 * height)), max(1, round(strength / 100 * width))
    return resize(image[down : height - down, across : width - across], height, width)


def marker(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    letter = MARKERS[random.choice(list(MARKERS))]
    below, right = random.random(2) < 0.5
    size, margin = max(5, round(strength / 100 * image.shape[0])), round(0.04 * image.shape[0])
    rows = np.arange(size) * 5 // size
    columns = np.arange(size * 3 // 5) * 3 // (size * 3 // 5)
    glyph = letter[np.ix_(rows, columns)]
    height, width = image.shape[:2]
    top = height - margin - size if below else margin
    left = width - margin - glyph.shape[1] if right else margin
    marked = image.copy()
    marked[top : top + size, left : left + glyph.shape[1]][glyph] = MARKER_GREY
    return marked


def polarity(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    # An image is inverted or it is not; half an inversion is no polarity but a loss of contrast. So the severity says
    # how many of an archive's films carry the wrong photometric interpretation.
    return 255 - image if random.random() < strength / 100 else image


def either_way(random: np.random.Generator) -> int:
    """Return 1 or −1: hospitals differ from film to film, in both directions."""
    return int(random.choice((-1, 1)))


def resize(image: np.ndarray, height: int, width: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    """Return a float32 image (height, width, C)."""
    channels = [Image.fromarray(channel).resize((width, height), how) for channel in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
