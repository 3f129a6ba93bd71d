"""Whether an update may take the place of its run: it forgot nothing on the old test, and learned for the new one.

The old test asks for non-inferiority (Piaggio et al., Reporting of Noninferiority and Equivalence Randomized Trials,
JAMA 2012), the new one for superiority. Both must be shown, so neither needs a correction for the other (Berger,
Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 1982).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kmedtl.statistics.confidence import Estimate
from kmedtl.system.titles import title

Part = Literal["old", "new"]
Verdict = Literal["shown", "worse", "not shown"]
MOST = 10_000_000  # images beyond which nobody collects a test


@dataclass(frozen=True)
class Change:
    """What an update did to the headline figure on a part of the test.

    Attributes:
        figure: its name.
        images: of the part.
        before, after: of the run, and of the update.
        gain: after minus before, paired by image.
        above: what the gain is to exceed: minus the margin on the old test, 0 on the new one.
        lent: classes that no new test image shows, for which those of the old test stand.
    """

    figure: str
    images: int
    before: Estimate
    after: Estimate
    gain: Estimate
    above: float
    lent: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """`shown` where the whole interval of the gain lies above the bound, `worse` where all of it lies below.

        So a loss that is certain, but smaller than the margin, is `shown` to be one that was allowed.
        """
        if self.gain.low > self.above:
            return "shown"
        return "worse" if self.gain.high < self.above else "not shown"

    @property
    def needed(self) -> int | None:
        """About how many images would show it if the gain stays what it is; None: none would, or nobody can tell.

        The interval's lower half narrows with the root of the images.
        """
        room, half = self.gain.value - self.above, self.gain.value - self.gain.low
        if not room > 0 or not math.isfinite(half):
            return None
        images = math.ceil(self.images * (half / room) ** 2)
        return images if images <= MOST else None

    def __str__(self) -> str:
        gain, asked = self.gain, f"{self.above:+g}" if self.above else "0"
        if math.isnan(gain.value + gain.low + gain.high):
            return f"{title(self.figure)}: {self.verdict}, as {self.images} images cannot tell it ({gain.method})"
        told = f"{title(self.figure)} {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
        return "; ".join([f"{told}, asked for above {asked}: {self._found}", *self.notes])

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of a verdict before it is believed."""
        fell = ("it fell, by less than was allowed",) if self.verdict == "shown" and self.gain.high < 0 else ()
        strangers = f"no new image shows {', '.join(self.lent)}, so the old ones that do stand beside them: telling the"
        return (*fell, f"{strangers} sources apart would gain as well") if self.lent else fell

    @property
    def _found(self) -> str:
        if self.verdict != "not shown":
            return self.verdict
        rest = f"about {self.needed} might do" if self.needed else "more of them would not do"
        return f"not shown by {self.images} images, {rest}"

    def document(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        return {**asdict(self), "verdict": self.verdict, "images_needed": self.needed}


def is_accepted(changes: Mapping[Part, Change]) -> bool:
    """Tell whether nothing was forgotten, and something learned."""
    return all(change.verdict == "shown" for change in changes.values())
