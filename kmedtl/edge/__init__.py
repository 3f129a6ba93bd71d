"""Prediction on a device: LiteRT, NumPy, Pillow and pydicom, never TensorFlow or Keras."""
