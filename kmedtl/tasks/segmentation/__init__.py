"""Segmentation: which pixels of an image belong to which structure."""
