"""The demo's story holds: the candidate is better overall and worse at one class."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from sidecar.demo.data import digits
from sidecar.demo.models import WEAK_CLASS, candidate, production


def test_the_traffic_is_no_training_image() -> None:
    data = digits()
    trained = {image.tobytes() for image in data.train_images}
    assert len(data.images) == len(data.labels) == 1000
    assert sum(image.tobytes() in trained for image in data.images) == 0


def test_the_candidate_is_better_overall_and_worse_at_one_class() -> None:
    data = digits()
    old, new = production(), candidate()
    weak = data.labels == WEAK_CLASS
    assert new.accuracy(data.images, data.labels) > old.accuracy(data.images, data.labels) + 0.01
    at_weak_class = new.accuracy(data.images[weak], data.labels[weak])
    assert at_weak_class < old.accuracy(data.images[weak], data.labels[weak]) - 0.1


def test_training_twice_gives_the_same_model() -> None:
    images = digits().images
    np.testing.assert_array_equal(
        candidate().probabilities(images), candidate().probabilities(images)
    )


def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    script = "import sys; sys.modules['sklearn.datasets'] = None\n" + (
        "from sidecar.demo.data import DemoError, digits\n"
        "try: digits()\n"
        "except DemoError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True)
    assert "pip install shadow-sidecar[demo]" in done.stdout, done.stderr
