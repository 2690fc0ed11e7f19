"""A sticky sample is a draw of keys: a few of them say nothing of the others."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sidecar.call import CallKey, Started
from sidecar.judge.report import State
from sidecar.settings.settings import Settings
from sidecar.tee.keys import ENOUGH, MOST, SampledKeys
from tests.house import INFER, House, told


def ask(house: House, tenants: int, calls: int, sick: int = -1) -> None:
    """Calls of tenants, sampled by key as they are live."""
    dice = random.Random(3)
    for i in range(calls):
        tenant = dice.randrange(tenants)
        metadata = (("content-type", "application/grpc"), ("tenant", f"t{tenant}"))
        call = Started(CallKey(1, 2 * i + 1), INFER, "m", metadata, "c:1", house.now_ns)
        reason = house.experiment._operation.check(call, dice.random())
        if reason is None:
            house.call(told(9.0 if tenant == sick else 1.0), metadata=metadata)
        else:
            house.ledger.refuse(reason)


def sampled(tenants: int, calls: int) -> House:
    house = House({"min_calls": 100})
    wanted = {"sample": {"fraction": 0.3, "key": "metadata:tenant"}}
    house.experiment.change(Settings.model_validate(house.settings.model_dump() | wanted))
    ask(house, tenants, calls)
    house.experiment.sweep()
    return house


def test_ten_tenants_of_which_most_are_never_compared_do_not_pass() -> None:
    house = sampled(10, 3000)
    assert house.state() is State.INCONCLUSIVE
    assert "sample.key leaves whole keys out" in house.judged.verdict.reason
    assert "of at least 30" in house.judged.verdict.reason


def test_many_users_pass() -> None:
    assert sampled(500, 3000).state() is State.PASS


def test_what_holds_back_a_pass_is_decided_by_nobody() -> None:
    house = sampled(10, 3000)
    assert house.state() is State.INCONCLUSIVE
    assert house.judged.judge.stands is None


@pytest.mark.parametrize("after", [{"fraction": 1.0, "key": "metadata:tenant"}, {"fraction": 0.3}])
def test_calls_of_few_keys_say_nothing_of_the_others_when_sampling_has_changed(after: Any) -> None:
    house = sampled(10, 3000)
    change = Settings.model_validate(house.settings.model_dump() | {"sample": after})
    house.experiment.change(change)
    house.experiment.sweep()
    assert house.state() is State.INCONCLUSIVE
    assert "when too few keys were" in house.judged.verdict.reason


def test_calls_of_few_keys_are_outweighed_by_ten_times_as_many_others() -> None:
    house = sampled(10, 3000)
    few = house.judged.row.compared
    change = house.settings.model_dump() | {"sample": {"fraction": 1.0, "key": "metadata:tenant"}}
    house.experiment.change(Settings.model_validate(change))
    house.experiment.sweep()
    for calls, state in ((few * 8, State.INCONCLUSIVE), (few * 2, State.PASS)):
        for _ in range(calls):
            house.call(told(1.0))
        house.experiment.sweep()
        assert house.state() is state


def test_calls_before_there_were_enough_keys_count_once_there_are() -> None:
    house = sampled(500, 40)
    assert house.judged.few_keys
    ask(house, 500, 3000)
    house.experiment.sweep()
    assert house.state() is State.PASS
    house.experiment.change(house.settings)
    house.experiment.sweep()
    assert house.state() is State.PASS


def test_after_a_restart_keys_that_are_left_out_are_waited_for() -> None:
    keys = SampledKeys()
    assert keys.few(30)
    for _ in range(ENOUGH):
        assert keys.few(30)
        keys.note(0.1, sampled=True)
    assert keys.few(30) == ""  # nobody is left out
    keys.note(0.9, sampled=False)
    assert keys.few(30)


def test_calls_without_a_key_are_drawn_one_by_one() -> None:
    keys = SampledKeys()
    for _ in range(ENOUGH):
        keys.note(None, sampled=False)
    assert keys.few(30) == ""


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_remembered_of_keys_has_a_bound(sampled: bool) -> None:
    keys = SampledKeys()
    for number in range(MOST + 10):
        keys.note(number / (MOST + 10), sampled=sampled)
    assert len(keys.sampled) + len(keys.left_out) == MOST
