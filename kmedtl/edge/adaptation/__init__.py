"""A model's decoder fitted to another hospital, by evidence; its weights stay. NumPy only."""
