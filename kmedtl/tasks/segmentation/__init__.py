"""Segmentation: a mask of every structure in an image."""
