"""The difference of two trees, against a library that other people wrote."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kube.inject import inject
from sidecar.kube.patch import apply, diff
from tests.kube.pods import pod

leaves = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("a/~1", max_size=3)
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab/~0", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(trees, trees)
def test_the_patch_makes_the_one_into_the_other(before: Any, after: Any) -> None:
    operations = diff(before, after)
    assert jsonpatch.apply_patch(before, operations) == after
    assert apply(copy.deepcopy(before), operations) == after


@given(trees)
def test_nothing_is_said_about_what_is_equal(tree: Any) -> None:
    assert diff(tree, copy.deepcopy(tree)) == []


def test_true_is_not_one() -> None:
    assert diff({"a": [1]}, {"a": [True]}) == [{"op": "replace", "path": "/a/0", "value": True}]
    assert diff([1, 2], [True]) != []


def test_an_injection_is_told_by_what_was_added() -> None:
    before = pod(initContainers=[{"name": "fetch", "image": "x"}])
    operations = diff(before, inject(before))
    inserted = [o["path"] for o in operations if "initContainers" in o["path"]]
    assert inserted == ["/spec/initContainers/0", "/spec/initContainers/1"]
    assert not any(o["op"] == "remove" for o in operations)
