"""From a source to batches: manifest, store, splits, pipeline."""
