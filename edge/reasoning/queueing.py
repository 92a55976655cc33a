"""Response time under load: how long a query waits and is served, at a percentile.

Each machine is an M/G/1 queue: queries come at random (Poisson), one is served at a time, the
load is split at random over the machines. The mean wait is exact (Pollaczek and Khinchine); the
wait of those who wait is taken as exponential with that mean, which is exact for M/M/1 (Tijms,
A First Course in Stochastic Models, 2003, section 9.6; Allen and Cunneen for more servers).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

# A machine without a latency limit is loaded up to this share of its time; above it the waits
# grow without bound (assumed: the usual rule of thumb of capacity planning).
UTILISATION_CAP = 0.8
# The shape of a service time is kept at this many points; finer ones change the result by less
# than 1 %.
_POINTS = 200
_BISECTIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTime:
    """The distribution of one inference's duration, as equally likely points in nanoseconds."""

    points_ns: tuple[float, ...]

    def __post_init__(self) -> None:
        """Require at least one point, in order, none negative."""
        if not self.points_ns or self.points_ns[0] < 0:
            raise ValueError("a service time needs points, none of them negative")
        if any(a > b for a, b in zip(self.points_ns, self.points_ns[1:], strict=False)):
            raise ValueError("the points of a service time must be in order")

    @property
    def mean_ns(self) -> float:
        """Mean duration."""
        return math.fsum(self.points_ns) / len(self.points_ns)

    @property
    def scv(self) -> float:
        """Squared coefficient of variation: 0 if constant, 1 if exponential."""
        mean = self.mean_ns
        if mean == 0:
            return 0.0
        squares = math.fsum((p - mean) ** 2 for p in self.points_ns) / len(self.points_ns)
        return squares / mean**2

    def scaled(self, factor: float) -> "ServiceTime":
        """Return the same shape, `factor` times as long."""
        return ServiceTime(points_ns=tuple(p * factor for p in self.points_ns))


def service_from_samples(latencies_ns: Sequence[int]) -> ServiceTime:
    """Keep the shape of measured latencies at 200 points (all of them if there are fewer)."""
    ordered = sorted(latencies_ns)
    if len(ordered) <= _POINTS:
        return ServiceTime(points_ns=tuple(float(v) for v in ordered))
    # The mid-rank of every 200th part; the last point is the maximum, so that no tail is lost.
    ranks = [int((i + 0.5) * len(ordered) / _POINTS) for i in range(_POINTS - 1)]
    return ServiceTime(points_ns=(*(float(ordered[r]) for r in ranks), float(ordered[-1])))


def service_with_variation(median_ns: float, variation: float) -> ServiceTime:
    """Return a log-normal service time with this median; `variation` is its sigma."""
    if variation == 0:
        return ServiceTime(points_ns=(median_ns,))
    normal = NormalDist()
    points = (normal.inv_cdf((i + 0.5) / _POINTS) for i in range(_POINTS))
    return ServiceTime(points_ns=tuple(median_ns * math.exp(variation * z) for z in points))


def mean_wait_ns(service: ServiceTime, load_per_s: float) -> float | None:
    """Return the mean wait in an M/G/1 queue (Pollaczek-Khinchine), None if it never settles."""
    utilisation = load_per_s * service.mean_ns * 1e-9
    if utilisation >= 1:
        return None
    return utilisation / (1 - utilisation) * (1 + service.scv) / 2 * service.mean_ns


def response_ns(service: ServiceTime, load_per_s: float, percentile: float) -> float | None:
    """Return the response time (wait and service) at `percentile`, None if it never settles."""
    wait = mean_wait_ns(service, load_per_s)
    if wait is None:
        return None
    busy = load_per_s * service.mean_ns * 1e-9
    allowed = 1 - percentile / 100
    points = service.points_ns

    def late(limit: float) -> float:
        """Share of queries that take longer than `limit`."""
        return _late_share(points, limit, busy, wait)

    low, high = 0.0, points[-1]
    while late(high) > allowed:
        low, high = high, high * 2 + wait
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if late(middle) > allowed:
            low = middle
        else:
            high = middle
        if high - low <= 1e-9 * high:
            break
    return high


def _late_share(points: Sequence[float], limit: float, busy: float, wait: float) -> float:
    # A query that finds the machine busy (with probability `busy`) waits wait/busy on average.
    late = 0.0
    for point in points:
        if point > limit:
            late += 1
        elif wait > 0:
            late += busy * math.exp(-(limit - point) * busy / wait)
    return late / len(points)


def capacity_per_s(service: ServiceTime, limit_ns: float | None, percentile: float) -> float:
    """Return the load that one machine carries within the limit at the percentile.

    Without a limit it is the load at 80 % utilisation. 0.0 if even a single query is too slow.
    """
    if service.mean_ns == 0:
        return math.inf
    most = UTILISATION_CAP / (service.mean_ns * 1e-9)
    if limit_ns is None:
        return most

    def holds(load: float) -> bool:
        response = response_ns(service, load, percentile)
        return response is not None and response <= limit_ns

    if not holds(0.0):
        return 0.0
    if holds(most):
        return most
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
        if high - low <= 1e-6 * high:
            break
    return low
