"""Writes digits.safetensors from the copy of the data that scikit-learn ships.

    pip install scikit-learn safetensors
    python make_digits.py
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

digits = load_digits()
save_file(
    {"images": digits.images.astype(np.uint8), "labels": digits.target.astype(np.uint8)},
    Path(__file__).with_name("digits.safetensors"),
)
