"""Argo Rollouts' reading of an answer, as far as our templates use it.

Source: its documentation of metrics: https://argo-rollouts.readthedocs.io/en/stable/features/analysis
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

ERROR_RETRY_SECONDS = 10
"""After an error it tries again so soon, whatever the interval (DefaultErrorRetryInterval)."""


def patience(metric: dict[str, Any]) -> float:
    """Seconds of errors in a row after which an analysis ends as an Error."""
    return float(metric["consecutiveErrorLimit"]) * ERROR_RETRY_SECONDS


def filled(text: str, arguments: dict[str, str]) -> str:
    """The text with its `{{args.NAME}}`."""
    return re.sub(r"\{\{args\.([\w-]+)\}\}", lambda m: arguments[m[1]], text)


def at(path: str, data: Any) -> Any:
    """What a JSONPath of the form {$.a.b} finds."""
    form = re.fullmatch(r"\{\$((?:\.\w+)+)\}", path)
    assert form, path
    for key in form[1].split(".")[1:]:
        data = data[key]
    return data


def holds(condition: str, result: Any) -> bool:
    """A condition of the form `result == "TEXT"` or with `!=`."""
    form = re.fullmatch(r'result (==|!=) "(\w*)"', condition)
    assert form, condition
    return bool((result == form[2]) is (form[1] == "=="))


def measured(metric: dict[str, Any], url: str) -> str:
    """The phase of a web metric's measurement at this URL."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            result = at(metric["provider"]["web"]["jsonPath"], json.loads(answer.read()))
    except urllib.error.HTTPError:
        return "Error"
    if holds(metric["failureCondition"], result):
        return "Failed"
    return "Successful" if holds(metric["successCondition"], result) else "Inconclusive"
