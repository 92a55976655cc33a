"""The cost gate: what is held to what, what decides, and what is refused."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_emulations import PLACE, counted, emulation

from edge.errors import ConfigError
from edge.reasoning.cost_gate import (
    change_text,
    cost_changes,
    cost_findings,
    gate_remarks,
)
from edge.records.emulation import CostChange

COUNTS = st.integers(min_value=0, max_value=10**15)


def test_all_three_phases_are_held_in_order() -> None:
    changes = cost_changes(
        counted(load_count=50_000_000, first_count=100_000_000, steady_counts=(90_000_000,)),
        counted(load_count=50_500_000, first_count=103_000_000, steady_counts=(91_800_001,)),
        0.02,
    )
    assert [(c.phase, c.baseline, c.now, c.allowed, c.exceeded) for c in changes] == [
        ("load", 50_000_000, 50_500_000, 0.02, False),
        ("first", 100_000_000, 103_000_000, 0.02, True),
        ("steady", 90_000_000, 91_800_001, 0.02, True),
    ]
    first, steady = cost_findings(changes)
    assert (first.kind, first.step) == (steady.kind, steady.step) == ("cost-increase", "count")
    assert first.what == (
        "the first inference takes 103 M instructions, "
        "3 % more than the baseline's 100 M (allowed: 2 %)"
    )
    assert steady.what.startswith("a steady inference takes 91.8 M instructions, 2 % more")
    assert first.remedy.startswith("if it was meant, make a new baseline with -o; else look at")


def test_what_is_cheaper_or_as_much_is_no_finding() -> None:
    cheaper = counted(load_count=1, first_count=2, steady_counts=(3,))
    assert cost_findings(cost_changes(emulation(), cheaper, 0)) == ()
    assert cost_findings(cost_changes(emulation(), emulation(), 0)) == ()


def test_what_happens_once_and_is_little_has_a_floor_and_steady_has_none() -> None:
    small = counted(load_count=200_000, first_count=154_196, steady_counts=(133_047,))
    now = counted(load_count=220_001, first_count=161_063, steady_counts=(136_000,))
    load, first, steady = cost_changes(small, now, 0.02)
    assert (load.allowed, load.exceeded) == (0.1, True)
    assert (first.allowed, first.exceeded) == (20_000 / 154_196, False)
    assert (steady.allowed, steady.exceeded) == (0.02, True)


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (120, 120, "120 instructions, as many as the baseline"),
        (90, 120, "90 instructions, 25 % fewer than the baseline's 120 (allowed: 2 %)"),
    ],
)
def test_a_change_in_words(now: int, before: int, text: str) -> None:
    change = CostChange(phase="steady", baseline=before, now=now, allowed=0.02)
    assert change_text(change) == text


@pytest.mark.parametrize(
    ("baseline", "now", "what", "hint"),
    [
        (
            emulation(target="rpi5"),
            emulation(),
            "the baseline is of rpi5, this is rpi4",
            "hold it to a baseline of the same target, or make one with -o",
        ),
        (
            emulation(place=dataclasses.replace(PLACE, qemu_cpu="cortex-a76")),
            emulation(),
            "the baseline was counted on a cortex-a76, this on a cortex-a72",
            "hold it to a baseline of the same target, or make one with -o",
        ),
        (
            emulation(),
            emulation(place=dataclasses.replace(PLACE, qemu_cpu=None)),
            "the baseline was counted on a cortex-a72, this on this machine's own processor",
            "hold it to a baseline of the same target, or make one with -o",
        ),
        (
            emulation(counts=None),
            emulation(),
            "the baseline of rpi4 has no instruction counts",
            "make it with edgekit emulate -o, without --no-count, on an emulated target",
        ),
        (
            emulation(),
            emulation(counts=None),
            "nothing was counted on rpi4, so nothing can be held",
            "leave out --no-count; a target that runs natively cannot be counted",
        ),
    ],
    ids=["target", "core", "native", "uncounted baseline", "uncounted"],
)
def test_what_cannot_be_compared_is_refused(baseline: Any, now: Any, what: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        cost_changes(baseline, now, 0.02)
    assert (raised.value.what, raised.value.hint) == (what, hint)


@pytest.mark.parametrize("share", [-0.01, float("nan"), float("inf")])
def test_an_increase_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="cannot be allowed"):
        cost_changes(emulation(), emulation(), share)


def test_the_same_again_needs_no_remark() -> None:
    assert gate_remarks(emulation(), emulation(), 0.01) == ()


def test_what_differs_is_compared_and_said() -> None:
    now = emulation(
        model_sha256="ef" * 32,
        runtime="onnxruntime 1.33.0",
        place=dataclasses.replace(PLACE, emulator=None),
        edgekit_version="0.2.0",
    )
    assert len(cost_changes(emulation(), now, 0.02)) == 3
    assert gate_remarks(emulation(), now, 0.009) == (
        "the baseline is of another version of digits-cnn",
        "the baseline's runtime is onnxruntime 1.32.0, this one's onnxruntime 1.33.0",
        "the baseline's emulator is qemu-aarch64 7.2.22, this one's none",
        "the baseline's edgekit is 0.1.0, this one's 0.2.0",
        "counts repeat within 0.5 %, so a gate at 0.9 % is near the noise: 1 % or more holds still",
    )
    assert gate_remarks(emulation(), emulation(model="other\n"), 1) == (
        "the baseline is of another model: digits-cnn, this is other\\n",
    )


@given(COUNTS, COUNTS, st.floats(0, 10))
def test_a_finding_is_an_increase_beyond_what_is_allowed(old: int, new: int, share: float) -> None:
    before = counted(load_count=old, first_count=old, steady_counts=(old,))
    now = counted(load_count=new, first_count=new, steady_counts=(new,))
    changes = cost_changes(before, now, share)
    assert len(cost_findings(changes)) == sum(change.exceeded for change in changes)
    if new <= old:
        assert cost_findings(changes) == ()
    for change in changes:
        assert change.allowed >= share
