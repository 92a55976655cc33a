"""Which variant is chosen: right enough first, then the fastest, never a slower one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.agreement import accuracy_of
from edge.reasoning.variant_choice import Floors, choose, in_name_only
from edge.records.emulation import InstructionCounts
from edge.records.measurement import ModelRef
from edge.records.optimization import (
    Agreement,
    Arithmetic,
    OptimizedVariant,
    PassStep,
    RuntimeCheck,
    Speedup,
)

FLOORS = Floors(most_accuracy_drop=0.01, least_cosine=None)
ORIGINAL = OptimizedVariant(name="original", passes=(), verdict="original", reason="")


def agreed(cosine: float) -> Agreement:
    return Agreement(
        samples=4,
        cosine=cosine,
        mean_cosine=cosine,
        largest_error=0.1,
        largest_output=9.0,
        top1=1.0,
    )


def variant(
    name: str, speed: float | None = None, cosine: float = 0.99, spread: float = 0.05
) -> OptimizedVariant:
    speedup = None
    if speed is not None:
        speedup = Speedup(value=speed, low=speed - spread, high=speed + spread, rounds=6)
    return OptimizedVariant(
        name=name,
        passes=(PassStep(name="simplify"),),
        verdict="good",
        reason="",
        model=ModelRef(name, "onnx", "0" * 64, 1000),
        speedup=speedup,
        agreement=agreed(cosine),
    )


def verdicts(*variants: OptimizedVariant, floors: Floors = FLOORS) -> list[tuple[str, str]]:
    judged, _ = choose([ORIGINAL, *variants], floors, "measured")
    return [(v.verdict, v.reason) for v in judged]


def test_the_fastest_that_is_right_enough_is_chosen() -> None:
    found = verdicts(variant("a", 1.5), variant("b", 2.5), variant("c", 4.0, cosine=0.7))
    assert found == [
        ("original", "what the others are compared with"),
        ("good", "1.50 times as fast (1.45 to 1.55)"),
        ("chosen", "2.50 times as fast (2.45 to 2.55)"),
        ("worse", "lowest cosine 0.700, at least 0.95 is asked for"),
    ]


def test_the_original_is_chosen_where_nothing_is_surely_faster() -> None:
    assert verdicts(variant("a", 1.03), variant("b", 0.5), variant("c")) == [
        ("chosen", "nothing that is right enough is faster"),
        ("slower", "not faster: 1.03 times as fast (0.98 to 1.08)"),
        ("slower", "not faster: 0.50 times as fast (0.45 to 0.55)"),
        ("slower", "it was not measured"),
    ]


def test_of_two_as_fast_the_one_with_the_better_outputs_is_taken() -> None:
    found = verdicts(variant("a", 2.01, cosine=0.96), variant("b", 2.0, cosine=0.999))
    assert [verdict for verdict, _ in found] == ["original", "good", "chosen"]


def test_labels_decide_where_there_are_any() -> None:
    original = replace(ORIGINAL, accuracy=accuracy_of(19, 20))
    good = replace(variant("a", 2.0, cosine=0.5), accuracy=accuracy_of(19, 20))
    bad = replace(variant("b", 3.0), accuracy=accuracy_of(17, 20))
    judged, chosen = choose([original, good, bad], FLOORS, "measured")
    assert chosen == 1
    assert judged[2].verdict == "worse"
    assert judged[2].reason == "17 of 20 right, the original 19: 10.0 points lost, 1 allowed"
    more = replace(FLOORS, most_accuracy_drop=0.1)
    assert choose([original, good, bad], more, "measured")[1] == 2
    both = replace(FLOORS, least_cosine=0.9)
    assert choose([original, good, bad], both, "measured")[1] == 0


def test_a_runtime_version_that_computes_it_wrongly_is_named() -> None:
    check = RuntimeCheck(version="tflite-runtime 2.14.0", agreement=agreed(0.01))
    found = verdicts(replace(variant("a", 3.0), checks=(check,)))
    assert found[1] == (
        "wrong",
        "tflite-runtime 2.14.0 computes it wrongly: lowest cosine 0.010, here 0.990",
    )
    fails = RuntimeCheck(version="onnxruntime 1.16.0", agreement=None, error="no kernel")
    found = verdicts(replace(variant("a", 3.0), checks=(fails,)))
    assert found[1] == ("wrong", "it does not run on onnxruntime 1.16.0: no kernel")


def test_int8_that_computes_in_float_is_found_out() -> None:
    fake = replace(variant("int8 static", 0.9), arithmetic=Arithmetic(integer=0.0, half=0.0))
    assert in_name_only(fake)
    verdict, reason = verdicts(fake)[1]
    assert verdict == "slower"
    assert reason.endswith("; int8 in name only: the runtime computes it in float")
    assert not in_name_only(replace(fake, arithmetic=Arithmetic(integer=0.9, half=0.0)))
    assert not in_name_only(replace(fake, name="int8 weights only"))


def counted(name: str, steady: int | None) -> OptimizedVariant:
    counts = (
        None
        if steady is None
        else InstructionCounts(
            import_count=1, load_count=1, first_count=1, warmup_counts=(), steady_counts=(steady,)
        )
    )
    return replace(variant(name, 3.0), instructions=counts)


def test_where_the_target_is_elsewhere_instructions_decide() -> None:
    original = replace(ORIGINAL, instructions=counted("o", 1_000_000).instructions)
    trials = [original, counted("a", 400_000), counted("b", 990_000), counted("c", None)]
    judged, chosen = choose(trials, FLOORS, "emulated")
    assert chosen == 1
    assert [v.reason for v in judged[1:]] == [
        "400 k instructions, 0.40 of the original's",
        "not fewer: 990 k instructions, 0.99 of the original's",
        "its instructions were not counted",
    ]


def test_what_could_not_be_made_stays_failed() -> None:
    failed = OptimizedVariant(name="a", passes=(), verdict="failed", reason="no such thing")
    assert verdicts(failed)[1] == ("failed", "no such thing")


@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(-1, 1)), max_size=6))
def test_what_is_chosen_is_never_slower_and_never_below_the_floor(
    made: list[tuple[float, float]],
) -> None:
    variants = [variant(str(i), speed, cosine) for i, (speed, cosine) in enumerate(made)]
    judged, chosen = choose([ORIGINAL, *variants], FLOORS, "measured")
    taken = judged[chosen]
    assert taken.verdict == "chosen"
    assert [v.verdict for v in judged].count("chosen") == 1
    if chosen:
        assert taken.speedup is not None
        assert taken.agreement is not None
        assert taken.speedup.low > 1
        assert taken.agreement.cosine >= 0.95
