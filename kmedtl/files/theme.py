"""The colours of plots, and SVGs that follow the reader's theme, light or dark."""

from __future__ import annotations

INK, ACCENT, SOFT = "#1f2937", "#2563eb", "#94a3b8"
# Okabe & Ito, Color Universal Design (2008), from dark to light.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
DARK = {  # what each is on a dark page; letters are black unless they say otherwise
    INK: "#e6e4de", ACCENT: "#8cb4f8", SOFT: "#8a94a3", "#0072b2": "#4ea6de", "#d55e00": "#f28c4a",
    "#009e73": "#35c79c", "#cc79a7": "#e09fc3", "#000000": "#e6e4de", "#e69f00": "#f0b840", "#56b4e9": "#a8d8f5",
}  # fmt: skip


def follow_theme(svg: str) -> str:
    """Return an SVG whose colours, those of `DARK`, are variables that its own style sheet sets for either theme."""
    for light in DARK:
        svg = svg.replace(light, f"var({_name(light)})")
    light_set = ";".join(f"{_name(light)}:{light}" for light in DARK)
    dark_set = ";".join(f"{_name(light)}:{dark}" for light, dark in DARK.items())
    rules = f":root{{fill:var({_name('#000000')});{light_set}}}@media(prefers-color-scheme:dark){{:root{{{dark_set}}}}}"
    return svg.replace("<defs>", f"<style>{rules}</style>\n <defs>", 1)


def _name(light: str) -> str:
    return f"--c{light[1:]}"
