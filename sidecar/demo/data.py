"""The demo's data: scikit-learn's handwritten digits, split once and for all.

Rule: the same arrays on every machine and in every process, so that the servers train what the
client knows the truth about. Counterpart: `sidecar.demo.models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
PIXELS = 64
SEED = 20261121
HELD_OUT = 1000  # of 1,797 images, as traffic; the others train


class DemoError(Exception):
    """The demo cannot run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Images are float32 [n, 64] in [0, 1]; labels are int64 [n] from 0 to 9."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    images: NDArray[np.float32]  # held out: no model has seen them
    labels: NDArray[np.int64]


@lru_cache(maxsize=1)
def digits() -> Digits:
    """Load the digits that ship with scikit-learn and split them.

    Raises:
        DemoError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DemoError(
            "the demo trains its models with scikit-learn: pip install shadow-sidecar[demo]"
        ) from error
    bunch = load_digits()
    images = (bunch.data / 16).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(labels))
    held, train = order[:HELD_OUT], order[HELD_OUT:]
    return Digits(images[train], labels[train], images[held], labels[held])
