"""kmedtl: staged transfer learning for medical images on Keras 3 and TensorFlow.

Research software: not a medical device, no clinical use is claimed.
"""

__version__ = "0.1.0"
