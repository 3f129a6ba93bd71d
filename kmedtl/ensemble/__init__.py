"""Several runs as one: models that vote, weights that are averaged, and what a small model learns from a large one."""
