"""Several attempts, several shadows, and inputs that are the same again and again."""

from __future__ import annotations

import pytest

from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.evidence.combine import pass_alpha
from sidecar.judge.evidence.effective import DistinctInputs, digest_of


def test_all_attempts_together_spend_alpha() -> None:
    assert sum(alpha_of_attempt(0.05, k) for k in range(1, 100_000)) == pytest.approx(0.05, 1e-4)
    assert alpha_of_attempt(0.05, 1) == pytest.approx(0.0304, abs=1e-4)
    with pytest.raises(ValueError, match="from 1"):
        alpha_of_attempt(0.05, 0)


def test_a_false_pass_of_any_of_several_shadows_is_as_rare_as_of_one() -> None:
    assert pass_alpha(0.025, 5) == 0.025 / 5
    assert pass_alpha(0.025, 0) == 0.025


def test_thirty_hot_inputs_are_worth_thirty() -> None:
    hot, fresh = DistinctInputs(), DistinctInputs()
    for i in range(20_000):
        hot.add(digest_of("m", [f"hot {i % 30}".encode()]))
        fresh.add(digest_of("m", [f"fresh {i}".encode()]))
    assert hot.effective == pytest.approx(30, rel=0.25)
    assert fresh.effective is not None
    assert fresh.effective > 10_000
    both = DistinctInputs.from_bytes(hot.to_bytes()).plus(fresh)
    assert both.effective == pytest.approx(40_000**2 / (20_000**2 / 30 + 20_000), rel=0.25)
    assert DistinctInputs().effective is None


def test_a_request_is_the_same_in_every_process_and_told_by_all_that_it_has() -> None:
    assert digest_of("/a/B", [b"x"]) == 0xA6E0038EB0C3F404
    large = bytes(100_000)
    different = {
        digest_of("/a/B", [b"x"]),
        digest_of("/a/C", [b"x"]),
        digest_of("/a/B", [b"x", b""]),
        digest_of("/a/B", [large]),
        digest_of("/a/B", [large + b"x"]),
        digest_of("/a/B", [large[:-1]]),
    }
    assert len(different) == 6


@pytest.mark.parametrize("data", [b"\x02", b"\x01", bytes([1]) * 9 + b"no", b"\x01" * 40])
def test_what_is_no_sketch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="distinct inputs"):
        DistinctInputs.from_bytes(data)
