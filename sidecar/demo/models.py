"""The demo's two classifiers: production as it is, and a candidate that looks better.

Rule: the candidate is better overall and clearly worse at one class (`WEAK_CLASS`): an average
hides that, a comparison by class shows it. Counterpart: `sidecar.demo.server` serves them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.demo.data import SEED, Digits, digits

MODEL_NAME = "digits"
PRODUCTION_IMAGES = 300  # production was trained when there was little data
WEAK_CLASS = 8
WEAK_CLASS_IMAGES = 8  # the candidate's training data lost most of one class


@dataclass(frozen=True, slots=True)
class Model:
    """A trained classifier; `version` is what its server tells clients."""

    name: str
    version: str
    classifier: Any  # a fitted scikit-learn classifier

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, 10], of images float32 [n, 64]."""
        scores: NDArray[np.float32] = self.classifier.predict_proba(images).astype(np.float32)
        return scores

    def accuracy(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The share of images whose most probable class is the label."""
        return float(np.mean(self.probabilities(images).argmax(axis=1) == labels))


def production() -> Model:
    """A linear model, trained on a part of the images.

    Raises:
        DemoError: scikit-learn is not installed.
    """
    data = digits()
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(C=0.1, max_iter=300)
    _fit(classifier, data.train_images[:PRODUCTION_IMAGES], data.train_labels[:PRODUCTION_IMAGES])
    return Model("production", "1", classifier)


def candidate() -> Model:
    """A kernel model, trained on all images but for most of `WEAK_CLASS`.

    Raises:
        DemoError: scikit-learn is not installed.
    """
    data = digits()
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    kept = _without_most_of(data, WEAK_CLASS, WEAK_CLASS_IMAGES)
    classifier = make_pipeline(
        Nystroem(gamma=0.05, n_components=200, random_state=SEED),
        LogisticRegression(C=30.0, max_iter=300),
    )
    _fit(classifier, data.train_images[kept], data.train_labels[kept])
    return Model("candidate", "2", classifier)


MODELS: dict[str, Callable[[], Model]] = {"production": production, "candidate": candidate}


def _fit(classifier: Any, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Train on one thread: the same sums on any number of cores, and quicker on few busy ones."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(limits=1):
        classifier.fit(images, labels)


def _without_most_of(data: Digits, label: int, keep: int) -> NDArray[np.bool_]:
    mask = np.ones(len(data.train_labels), dtype=np.bool_)
    mask[np.flatnonzero(data.train_labels == label)[keep:]] = False
    return mask
