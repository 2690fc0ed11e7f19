"""Before anything has been counted it is said without adding up what the sums would say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.level import Level
from sidecar.judge.evidence.likeness import LENGTHS
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.ratio_bets import RatioBets
from sidecar.judge.evidence.sums import Sums

F1 = tuple(
    (2.0 * (a and y) / 2, (a + y) / 2, 2.0 * (b and y) / 2, (b + y) / 2)
    for a, b, y in itertools.product((0, 1), repeat=3)
    if a or b or y
)
CLAIMS: list[Bets] = [
    *(MeanBets(margin, swing) for margin in (0.001, 0.01, 0.4) for swing in (1.0, 2.0, 5.0)),
    MeanBets(0.0, 1.0, -1.0, 1.0),
    MeanBets(0.3, 2.0, 0.0, 5.0),
    *(RatioBets(margin, swing, F1) for margin in (0.005, 0.02, 0.3) for swing in (1.0, 2.0, 5.0)),
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_evidence_of_nothing_is_that_of_sums_that_are_zero(claim: Bets) -> None:
    told = claim.evidence(np.zeros(claim.width), None)
    assert claim.nothing.log_pass == pytest.approx(told.log_pass, rel=1e-12, abs=1e-15)
    assert claim.nothing.log_fail == pytest.approx(told.log_fail, rel=1e-12, abs=1e-15)
    assert max(claim.nothing.log_pass, claim.nothing.log_fail) <= 0


class _Summed(Level):
    """A level that adds up nothing as if it were something."""

    __slots__ = ()

    @property
    def is_empty(self) -> bool:
        return False


def summed(blocks: Blocks) -> Blocks:
    blocks._levels = [_Summed(blocks.bets, level.seconds, level.keep) for level in blocks.levels]
    return blocks


@pytest.mark.parametrize("claim", [CLAIMS[4], CLAIMS[-1]])
@pytest.mark.parametrize("lengths", [LENGTHS, LENGTHS[1:], LENGTHS[-2:], LENGTHS[:1]])
@pytest.mark.parametrize("unseen", [0.05, 1.0, 60.0, 1e5])
def test_what_blocks_say_of_nothing_is_what_they_say_by_adding_it_up(
    claim: Bets, lengths: tuple[float, ...], unseen: float
) -> None:
    def blocks() -> Blocks:
        return Blocks(claim, lengths=lengths, keep=[10] * len(lengths), unseen_seconds=unseen)

    short, long = blocks(), summed(blocks())
    assert short.chosen() == long.chosen()
    assert short.evidence().log_pass == pytest.approx(long.evidence().log_pass, rel=1e-12)
    assert short.evidence().log_fail == pytest.approx(long.evidence().log_fail, rel=1e-12)
    assert short.interval(0.05) == long.interval(0.05)
    assert (short.days_over, short.design_effect) == (long.days_over, long.design_effect)
    assert short.to_dict() == long.to_dict()
    assert Blocks.from_dict(short.to_dict()) == short


def test_the_first_block_that_closes_is_added_to_nothing() -> None:
    short, long = Level(CLAIMS[0], 1.0, 10), _Summed(CLAIMS[0], 1.0, 10)
    long.old, long._sums = Sums(np.zeros(CLAIMS[0].width)), Sums(np.zeros(CLAIMS[0].width))
    for number in (5, 6, 9):
        for level in (short, long):
            level.close(number, [10.0, 1.0, 0.5])
        assert (short.sums.vector == long.sums.vector).all()
        assert short.to_dict() == long.to_dict()
    assert not short.is_empty
