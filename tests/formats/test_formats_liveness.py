"""The peak of live tensors."""

from hypothesis import given
from hypothesis import strategies as st

from edge.formats.liveness import Step, peak_bytes


def _step(reads: str, writes: str, extra: int | None = 0, alias: str | None = None) -> Step:
    return Step(reads=tuple(reads), writes=tuple(writes), extra_bytes=extra, alias_of=alias)


SIZES = {"a": 10, "b": 20, "c": 5, "d": 1}


def test_a_chain_keeps_two_at_a_time() -> None:
    steps = [_step("a", "b"), _step("b", "c"), _step("c", "d")]
    assert peak_bytes(steps, SIZES, "a", "d") == 30


def test_a_skip_connection_keeps_its_start() -> None:
    steps = [_step("a", "b"), _step("b", "c"), _step("ac", "d")]
    assert peak_bytes(steps, SIZES, "a", "d") == 35


def test_a_view_shares_memory_and_keeps_it_alive() -> None:
    steps = [_step("a", "b", alias="a"), _step("d", "c"), _step("b", "d")]
    assert peak_bytes(steps, {"a": 10, "b": 10, "c": 5, "d": 1}, "ad", "") == 16


def test_an_output_lives_to_the_end() -> None:
    steps = [_step("a", "b"), _step("a", "c")]
    assert peak_bytes(steps, SIZES, "a", "bc") == 35
    assert peak_bytes(steps, SIZES, "a", "c") == 30


def test_a_subgraph_comes_on_top() -> None:
    assert peak_bytes([_step("a", "b", extra=100)], SIZES, "a", "b") == 130


def test_unknown_stays_unknown() -> None:
    assert peak_bytes([_step("a", "b")], {"a": 1, "b": None}, "a", "b") is None
    assert peak_bytes([_step("a", "b")], {"a": None, "b": 1}, "a", "b") is None
    assert peak_bytes([_step("a", "b", extra=None)], SIZES, "a", "b") is None


def test_nothing() -> None:
    assert peak_bytes([], {}, "", "") == 0


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abcdef"), max_size=3), st.sampled_from("abcdef")),
        max_size=12,
    ),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 100), min_size=6),
)
def test_between_the_largest_step_and_the_sum(
    plan: list[tuple[list[str], str]], sizes: dict[str, int]
) -> None:
    # Every tensor is written once.
    steps, written = [], set("a")
    for reads, write in plan:
        if write not in written:
            written.add(write)
            steps.append(_step("".join(r for r in set(reads) if r in written - {write}), write))
    peak = peak_bytes(steps, sizes, "a", "")
    assert peak is not None
    assert peak <= sum(sizes[name] for name in written)
    assert peak >= max((sizes[s.writes[0]] for s in steps), default=sizes["a"])
