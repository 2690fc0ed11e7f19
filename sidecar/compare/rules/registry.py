"""Every rule, by name: a new one is a file and a line here.

Counterparts: `compare.settings`, where a configuration names them; `outputs`, which applies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.compare.rules import (
    argmax,
    cosine,
    edit,
    exact,
    jensen_shannon,
    json,
    kendall,
    rbo,
    text,
    tokens,
    tolerance,
    topk,
    total_variation,
)
from sidecar.compare.rules.finding import Rule

RULES: Final[Mapping[str, Rule]] = {
    module.RULE.name: module.RULE
    for module in (
        tolerance,
        exact,
        argmax,
        topk,
        rbo,
        kendall,
        total_variation,
        jensen_shannon,
        cosine,
        text,
        tokens,
        edit,
        json,
    )
}

AUTO: Final = "auto"  # tolerance for floats, exact for the rest
IGNORE: Final = "ignore"  # not looked at
RULE_NAMES: Final = (AUTO, *RULES, IGNORE)

_NAMED_BY_USERS: Final = frozenset().union(*(rule.settings for rule in RULES.values()))


def useless(name: str, given: frozenset[str]) -> frozenset[str]:
    """Which of the keys that were given a rule has no use for.

    A rule that an output's elements do not allow gives way to `auto`, whose keys it may have too.
    """
    used: frozenset[str] = frozenset()
    if name in RULES:
        used = RULES[name].settings
    if name != IGNORE and (name == AUTO or set(RULES[name].kinds) < set(RULES["exact"].kinds)):
        used |= RULES["tolerance"].settings
    return (given & _NAMED_BY_USERS) - used
