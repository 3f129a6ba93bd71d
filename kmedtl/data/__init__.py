"""From a source to batches: manifest, store, audit, splits, pipeline."""
