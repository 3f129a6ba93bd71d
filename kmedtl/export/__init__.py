"""SavedModel and TFLite files, and the proof that they answer as Keras does."""
