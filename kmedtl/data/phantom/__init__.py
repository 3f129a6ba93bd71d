"""A synthetic thorax: chest radiographs of random people who do not exist.

The images are projections of a geometric model: what a classifier scores on them says nothing about patients.
"""

from kmedtl.data.phantom.film import LABELS, Film, films, films_of

__all__ = ["LABELS", "Film", "films", "films_of"]
