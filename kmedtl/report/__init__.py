"""A run told to people: a page that stands alone, a model card, a PDF."""
