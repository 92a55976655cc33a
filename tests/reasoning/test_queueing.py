"""Response times against closed forms, and against a simulation of the queue."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.queueing import (
    UTILISATION_CAP,
    ServiceTime,
    capacity_per_s,
    mean_wait_ns,
    response_ns,
    service_from_samples,
    service_with_variation,
)

SECOND = 1e9
CONSTANT = ServiceTime(points_ns=(SECOND,))


def exponential(points: int = 4000) -> ServiceTime:
    shares = ((i + 0.5) / points for i in range(points))
    return ServiceTime(points_ns=tuple(-math.log(1 - share) * SECOND for share in shares))


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_the_mean_wait_of_mm1_and_md1(load: float) -> None:
    # M/M/1: rho/(1-rho) service times; M/D/1: half of it.
    wait = mean_wait_ns(exponential(), load)
    assert wait == pytest.approx(load / (1 - load) * SECOND, rel=0.01)
    wait = mean_wait_ns(CONSTANT, load)
    assert wait == pytest.approx(load / (1 - load) / 2 * SECOND)


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0])
def test_the_percentiles_of_mm1(load: float, percentile: float) -> None:
    # The response time of M/M/1 is exponential with the rate mu - lambda.
    expected = -math.log(1 - percentile / 100) / (1 - load) * SECOND
    found = response_ns(exponential(), load, percentile)
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("variation", [0.0, 0.25, 0.8])
def test_the_percentiles_agree_with_a_simulation(load: float, variation: float) -> None:
    service = service_with_variation(SECOND, variation)
    rate = load / (service.mean_ns / SECOND)
    simulated = simulate(service, rate)
    for percentile, tolerance in ((90.0, 0.08), (99.0, 0.20)):
        found = response_ns(service, rate, percentile)
        assert found is not None
        expected = simulated[int(percentile / 100 * len(simulated))]
        assert found / SECOND == pytest.approx(expected, rel=tolerance)


def simulate(service: ServiceTime, rate: float, queries: int = 100_000) -> list[float]:
    chance = random.Random(1)
    free, now, found = 0.0, 0.0, []
    for _ in range(queries):
        now += chance.expovariate(rate)
        free = max(free, now) + chance.choice(service.points_ns) / SECOND
        found.append(free - now)
    return sorted(found)


def test_a_queue_that_never_settles_has_no_response_time() -> None:
    assert mean_wait_ns(CONSTANT, 1.0) is None
    assert response_ns(CONSTANT, 1.0, 90) is None
    assert response_ns(CONSTANT, 0.999, 90) is not None


def test_without_load_the_response_is_the_service() -> None:
    assert response_ns(CONSTANT, 0.0, 99) == pytest.approx(SECOND)


def test_the_capacity_without_a_limit_is_the_cap() -> None:
    assert capacity_per_s(CONSTANT, None, 90) == pytest.approx(UTILISATION_CAP)
    # A loose limit does not lift it.
    assert capacity_per_s(CONSTANT, 1000 * SECOND, 90) == pytest.approx(UTILISATION_CAP)


def test_the_capacity_under_a_limit_just_keeps_it() -> None:
    limit = 2 * SECOND
    capacity = capacity_per_s(CONSTANT, limit, 90)
    inside, outside = (response_ns(CONSTANT, capacity * f, 90) for f in (0.999, 1.01))
    assert inside is not None
    assert outside is not None
    assert inside <= limit < outside


def test_a_machine_that_is_too_slow_carries_nothing() -> None:
    assert capacity_per_s(CONSTANT, 0.99 * SECOND, 90) == 0.0


@given(
    st.floats(1e3, 1e12),
    st.floats(1.01, 100.0),
    st.floats(0.0, 1.0),
    st.floats(1.5, 50.0),
)
def test_faster_service_and_looser_limits_carry_more(
    service_ns: float, faster: float, variation: float, room: float
) -> None:
    slow = service_with_variation(service_ns, variation)
    quick = slow.scaled(1 / faster)
    limit = room * service_ns
    assert capacity_per_s(quick, limit, 90) >= capacity_per_s(slow, limit, 90) * (1 - 1e-5)
    looser = capacity_per_s(slow, 1.5 * limit, 90)
    assert looser >= capacity_per_s(slow, limit, 90) * (1 - 1e-5)


def test_samples_keep_their_shape_and_their_maximum() -> None:
    samples = list(range(1, 10_001))
    service = service_from_samples(samples)
    assert len(service.points_ns) == 200
    assert service.points_ns[-1] == 10_000
    assert service.mean_ns == pytest.approx(5000, rel=0.01)
    assert service_from_samples([3, 1, 2]).points_ns == (1.0, 2.0, 3.0)


def test_the_variation_is_that_of_a_log_normal() -> None:
    service = service_with_variation(SECOND, 0.25)
    assert service.points_ns[100] / SECOND == pytest.approx(1, rel=0.01)
    assert service.scv == pytest.approx(math.exp(0.25**2) - 1, rel=0.05)
    assert CONSTANT.scv == 0


@pytest.mark.parametrize("points", [(), (-1.0,), (2.0, 1.0)])
def test_nonsense_is_refused(points: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="service time"):
        ServiceTime(points_ns=points)
