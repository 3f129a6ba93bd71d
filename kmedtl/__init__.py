"""kmedtl: staged transfer learning for medical images on Keras 3 and TensorFlow.

Research software: not a medical device, no clinical use is claimed.
"""

import os

from kmedtl.system.home import give_libraries_a_place

give_libraries_a_place()  # before any of them is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else TensorFlow tells of every GPU that is not there

__version__ = "0.1.0"
