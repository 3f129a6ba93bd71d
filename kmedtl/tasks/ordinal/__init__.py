"""Ordinal grading: which of several grades in order an image is of."""
