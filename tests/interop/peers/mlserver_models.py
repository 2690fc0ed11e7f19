"""Writes a model repository for MLServer; runs in MLServer's environment.

`python mlserver_models.py ROLE DIRECTORY` makes two models: "iris", a decision tree on the iris
data, and "text", `lowercase.Lowercase`. As production the tree is grown whole and texts are
lower-cased; as shadow the tree is cut after its first split, which tells only the first of the
three species apart, and texts are left as they come.
"""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier


def write(role: str, directory: Path) -> None:
    """Write both models below `directory` for the role "production" or "shadow"."""
    version = {"production": "1", "shadow": "2"}[role]
    flowers = load_iris()
    tree = DecisionTreeClassifier(max_depth=None if role == "production" else 1, random_state=1)
    tree.fit(flowers.data, flowers.target)
    iris = _settings(directory, "iris", "mlserver_sklearn.SKLearnModel", version)
    (iris / "model.pickle").write_bytes(pickle.dumps(tree))
    text = _settings(directory, "text", "lowercase.Lowercase", version, lower=role == "production")
    shutil.copy(Path(__file__).with_name("lowercase.py"), text)


def _settings(directory: Path, name: str, implementation: str, version: str, **extra: Any) -> Path:
    folder = directory / name
    folder.mkdir(parents=True)
    parameters: dict[str, Any] = {"version": version}
    if name == "iris":
        parameters["uri"] = "./model.pickle"
    if extra:
        parameters["extra"] = extra
    settings = {"name": name, "implementation": implementation, "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
