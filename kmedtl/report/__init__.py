"""The result of a run for people: a page that stands alone, a model card, a PDF."""
