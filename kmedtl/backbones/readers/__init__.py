"""Tensors from files that other programs wrote, read with NumPy alone."""
