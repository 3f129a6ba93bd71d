"""A finished run that goes on learning from new images, and is accepted only where it forgot nothing."""
