"""The difference between two JSON trees as a JSON Patch (RFC 6902), and its application.

Rule: `apply(before, diff(before, after)) == after`, and what is equal is not mentioned. Only
`add`, `replace` and `remove` are made and understood, with pointers as in RFC 6901. Lists are
compared by their common ends: injection inserts into lists and never reorders them, so that is
as small as a longest common subsequence and can be read at a glance.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Operation: TypeAlias = dict[str, Any]


def diff(before: Any, after: Any, path: str = "") -> list[Operation]:
    """The operations that make `after` of `before`; both are JSON trees and stay unchanged."""
    if isinstance(before, dict) and isinstance(after, dict):
        return _diff_mappings(before, after, path)
    if isinstance(before, list) and isinstance(after, list):
        return _diff_lists(before, after, path)
    if _same(before, after):
        return []
    return [{"op": "replace", "path": path, "value": after}]


def apply(tree: Any, operations: list[Operation]) -> Any:
    """Apply the operations, changing `tree` where it can be changed; returns the result.

    Raises:
        KeyError, IndexError, ValueError: an operation does not fit the tree.
    """
    for operation in operations:
        *parents, last = [_unescape(part) for part in operation["path"].split("/")]
        if not parents:
            tree = operation["value"]
            continue
        node = tree
        for part in parents[1:]:
            node = node[int(part)] if isinstance(node, list) else node[part]
        _apply_one(node, last, operation)
    return tree


def _apply_one(node: Any, last: str, operation: Operation) -> None:
    verb = operation["op"]
    key: Any = last
    if isinstance(node, list):
        key = len(node) if last == "-" else int(last)
        if verb == "add":
            node.insert(key, operation["value"])
            return
    if verb == "remove":
        del node[key]
    elif verb in {"add", "replace"}:
        node[key] = operation["value"]
    else:
        raise ValueError(f"operation {verb!r} is not made here")


def _diff_mappings(before: dict[str, Any], after: dict[str, Any], path: str) -> list[Operation]:
    operations: list[Operation] = []
    for key, value in before.items():
        where = f"{path}/{_escape(key)}"
        if key not in after:
            operations.append({"op": "remove", "path": where})
        else:
            operations += diff(value, after[key], where)
    for key, value in after.items():
        if key not in before:
            operations.append({"op": "add", "path": f"{path}/{_escape(key)}", "value": value})
    return operations


def _diff_lists(before: list[Any], after: list[Any], path: str) -> list[Operation]:
    if len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [op for i, (old, new) in pairs for op in diff(old, new, f"{path}/{i}")]
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and _same(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _same(before[-1 - tail], after[-1 - tail]):
        tail += 1
    removed, added = len(before) - tail, len(after) - tail
    operations: list[Operation] = []
    operations += [{"op": "remove", "path": f"{path}/{i}"} for i in reversed(range(head, removed))]
    operations += [
        {"op": "add", "path": f"{path}/{i}", "value": after[i]} for i in range(head, added)
    ]
    return operations


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON values: `true` is not 1, in Python or inside a list."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
