"""The smallest memory is found with few attempts, whatever the program needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.memory_search import (
    STEP_BYTES,
    Attempt,
    Smallest,
    board_bytes,
    smallest_memory,
)

GIB = 1 << 30
MIB = 1 << 20


def search(
    need: int, told: int, *, most: int = 4, largest: int = 8 * GIB
) -> tuple[Smallest | None, list[int]]:
    tried: list[int] = []

    def attempt(size: int) -> Attempt:
        tried.append(size)
        return Attempt(sufficed=True, needs_bytes=told) if size >= need else Attempt(sufficed=False)

    return smallest_memory(attempt, 512 * MIB, largest_bytes=largest, most=most), tried


@pytest.mark.parametrize(
    ("need", "told", "tried", "found"),
    [
        # The estimate is right; one step below is seen to fail.
        (950, 950, [1024, 960, 896], Smallest(bytes=960 * MIB, exact=True)),
        # Too low by a step, and too high by one.
        (1000, 950, [1024, 960], Smallest(bytes=1024 * MIB, exact=True)),
        (890, 950, [1024, 960, 896, 832], Smallest(bytes=896 * MIB, exact=True)),
        (1500, 1500, [1024, 2048, 1536, 1472], Smallest(bytes=1536 * MIB, exact=True)),
        # An estimate that cannot be is not believed.
        (1000, 9000, [1024, 960], Smallest(bytes=1024 * MIB, exact=True)),
        (600, 0, [1024, 576, 640], Smallest(bytes=640 * MIB, exact=True)),
        # The attempts are used up.
        (3000, 3000, [1024, 2048, 4096, 3008], Smallest(bytes=3008 * MIB, exact=False)),
        (7000, 7000, [1024, 2048, 4096, 8192], Smallest(bytes=8192 * MIB, exact=False)),
        (9000, 9000, [1024, 2048, 4096, 8192], None),
    ],
)
def test_few_attempts_find_it(
    need: int, told: int, tried: list[int], found: Smallest | None
) -> None:
    smallest, sizes = search(need * MIB, told * MIB)
    assert [size // MIB for size in sizes] == tried
    assert smallest == found


def test_more_than_there_is_is_not_tried() -> None:
    assert search(5 * GIB, 5 * GIB, largest=4 * GIB) == (None, [GIB, 2 * GIB, 4 * GIB])


@given(
    st.integers(512 * MIB + 1, 8 * GIB),
    st.integers(0, 16 * GIB),
    st.integers(min_value=1, max_value=8),
)
def test_what_is_found_was_seen(need: int, told: int, most: int) -> None:
    smallest, tried = search(need, told, most=most)
    assert len(tried) <= most
    assert len(set(tried)) == len(tried)
    if smallest is None:
        assert max(tried) < need
        return
    assert smallest.bytes in tried
    assert smallest.bytes % STEP_BYTES == 0
    assert smallest.bytes >= need
    failed = [512 * MIB, *(size for size in tried if size < need)]
    assert smallest.exact == (smallest.bytes - max(failed) <= STEP_BYTES)


@given(st.integers(512 * MIB + 1, 8 * GIB), st.integers(0, 16 * GIB))
def test_with_attempts_enough_it_is_exact(need: int, told: int) -> None:
    smallest, _ = search(need, told, most=200)
    assert smallest == Smallest(bytes=-(-need // STEP_BYTES) * STEP_BYTES, exact=True)


@pytest.mark.parametrize(
    ("memory", "board"), [(GIB, GIB), (960 * MIB, GIB), (GIB + 1, 2 * GIB), (9 * GIB, None)]
)
def test_boards_come_in_sizes(memory: int, board: int | None) -> None:
    assert board_bytes(memory) == board
