"""A recipe proposed for images that nobody has described: what they are, what follows from it, and why."""
