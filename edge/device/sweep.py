"""Measures combinations of settings in turns, each time in a process of its own. Python 3.8."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from edge.device.combinations import Combination, Plan
from edge.device.parts import Unpacked
from edge.device.settings import write_settings
from edge.device.timing import clock_ns
from edge.errors import ConfigError, EdgekitError
from edge.reasoning.pareto import Contender, Figures, best, orders, pareto_set, remaining_s
from edge.reasoning.stats import quantile
from edge.records.codec import from_dict, to_dict
from edge.records.manifest import Manifest
from edge.records.measurement import GRAPH_LEVELS, Measurement
from edge.records.sweep import SweepResult, SweepRow

if TYPE_CHECKING:
    from edge.device.journal import Journal

PERCENTILE = 90.0
_NS = 1_000_000_000
_FIGURE = re.compile(r"[0-9]+([.][0-9]+)?")

SweepProgress = Callable[[float, Optional[float], str], None]


def run_sweep(
    plan: Plan,
    measure: Callable[[Combination, int], Measurement],
    *,
    journal_path: Optional[str] = None,
    resume: bool = False,
    progress: Optional[SweepProgress] = None,
    stopped: Optional[Callable[[SweepResult], None]] = None,
) -> SweepResult:
    """Measure all combinations in every round, in an order that spreads heat and drift evenly.

    `measure` is given a combination and the round, from 0, and runs one child. What it finds
    appears in the journal before the next one starts. `progress` is told the part that is done,
    the seconds that are left (None: not known yet) and what comes next. Whatever interrupts it
    goes on upwards after `stopped` was given what was finished.

    Raises:
        ConfigError: the journal holds what is no journal.
        HostError: the journal cannot be written.
    """
    journal = None if journal_path is None else _open_journal(journal_path)
    found = _Found(plan)
    try:
        if journal is not None:
            if resume:
                found.take_up(journal.documents())
            else:
                journal.append({"sweep": "start"})
        _measure_all(plan, measure, found, journal, progress)
    except BaseException:
        if stopped is not None and found.rounds_done():
            stopped(found.result(is_whole=False))
        raise
    finally:
        if journal is not None:
            journal.close()
    return found.result(is_whole=True)


def _open_journal(path: str) -> "Journal":
    from edge.device.journal import Journal

    return Journal.open(path)


def _measure_all(
    plan: Plan,
    measure: Callable[[Combination, int], Measurement],
    found: "_Found",
    journal: "Optional[Journal]",
    progress: Optional[SweepProgress],
) -> None:
    start, measured = clock_ns(), 0
    todo = [
        (number, index)
        for number, order in enumerate(orders(len(plan.combinations), plan.rounds))
        for index in order
        if number not in found.rounds[index]
    ]
    total = len(plan.combinations) * plan.rounds
    for position, (number, index) in enumerate(todo):
        combination = plan.combinations[index]
        if index in found.errors:
            continue  # What crashed once is not asked again.
        if progress is not None:
            text = "round {} of {}: {}".format(number + 1, plan.rounds, combination.name)
            left = len([1 for _, i in todo[position:] if i not in found.errors])
            rest = remaining_s((clock_ns() - start) / _NS, measured, measured + left)
            progress((total - len(todo) + position) / total, rest, text)
        try:
            measurement = measure(combination, number)
        except EdgekitError as error:
            found.errors[index] = str(error)
        else:
            found.rounds[index][number] = measurement
            if journal is not None:
                journal.append(
                    {
                        "sweep": "round",
                        "combination": plan.identity(combination),
                        "round": number,
                        "measurement": to_dict(measurement),
                    }
                )
        measured += 1
    if progress is not None:
        progress(1.0, 0.0, "done")


class _Found:
    """What is known of every combination so far."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.rounds: List[Dict[int, Measurement]] = [{} for _ in plan.combinations]
        self.errors: Dict[int, str] = {}
        self._resumed = 0
        self._not_resumed: List[str] = []

    def rounds_done(self) -> int:
        """Return how many rounds of combinations are finished."""
        return sum(len(rounds) for rounds in self.rounds)

    def take_up(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Take the finished rounds of the latest sweep, if they were measured as now."""
        begun = [i for i, told in enumerate(documents) if told.get("sweep") == "start"]
        identities = [self._plan.identity(c) for c in self._plan.combinations]
        for told in documents[begun[-1] + 1 if begun else 0 :]:
            if told.get("sweep") != "round":
                continue
            try:
                identity, number = told["combination"], int(told["round"])
                measurement = from_dict(Measurement, told["measurement"])
            except (LookupError, TypeError, ValueError) as error:
                raise ConfigError("a round of the sweep lacks {}".format(error)) from error
            if identity in identities and number < self._plan.rounds:
                self.rounds[identities.index(identity)][number] = measurement
            else:
                self._not_resumed.append(self._reason(identity, identities[0]))
        self._resumed = self.rounds_done()

    def _reason(self, identity: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
        for key, text in (
            ("machine", "it was measured on another machine"),
            ("edgekit_version", "it was measured by another edgekit"),
            ("options", "it was measured with other options"),
        ):
            if identity.get(key) != ours[key]:
                return text
        known = [c.variant for c in self._plan.combinations]
        if identity.get("model_sha256") not in {variant.sha256 for variant in known}:
            return "it was measured with another model file"
        if identity.get("runtime") not in {variant.runtime for variant in known}:
            return "it was measured with another runtime"
        return "this sweep does not ask for it"

    def result(self, *, is_whole: bool) -> SweepResult:
        """Return the rows, the Pareto set and the best one."""
        plan = self._plan
        merged = [merge_rounds(r) if r else None for r in self.rounds]
        usable = [i for i, m in enumerate(merged) if m is not None and i not in self.errors]
        on_front = {usable[i] for i in pareto_set([self._figures(i, merged[i]) for i in usable])}
        chosen = best([self._contender(i) for i in usable], PERCENTILE)
        rows = tuple(
            SweepRow(c.variant.label, c.config, merged[i], self.errors.get(i), i in on_front)
            for i, c in enumerate(plan.combinations)
        )
        return SweepResult(
            percentile=PERCENTILE,
            rounds=plan.rounds,
            rows=rows,
            left_out=plan.left_out,
            best=None if chosen is None else usable[chosen],
            is_whole=is_whole,
            resumed_rounds=self._resumed,
            not_resumed=tuple(dict.fromkeys(self._not_resumed)),
        )

    def _figures(self, index: int, measurement: Optional[Measurement]) -> Figures:
        assert measurement is not None
        accuracy = self._plan.combinations[index].variant.accuracy
        energy = measurement.energy
        return Figures(
            latency_ns=quantile(measurement.latencies_ns, PERCENTILE),
            memory_bytes=measurement.peak_memory_bytes,
            load_ns=measurement.load_ns,
            accuracy_loss=None if accuracy is None else 1 - accuracy,
            joules=None if energy is None else energy.joules_per_inference,
        )

    def _contender(self, index: int) -> Contender:
        config = self._plan.combinations[index].config
        usual = [config.graph_level in (None, GRAPH_LEVELS[-1]), self._is_usual(index)]
        latencies = tuple(m.latencies_ns for _, m in sorted(self.rounds[index].items()))
        place = list(dict.fromkeys(c.variant.label for c in self._plan.combinations))
        variant = place.index(self._plan.combinations[index].variant.label)
        return Contender(latencies, (config.threads, usual.count(False), variant))

    def _is_usual(self, index: int) -> bool:
        combination = self._plan.combinations[index]
        return combination.config.provider in (None, *combination.variant.providers[:1])


def save_best(manifest: Manifest, parts: Unpacked, result: SweepResult) -> Optional[str]:
    """Write the best row's settings for a bundle and return the file; None: there is no best row.

    Raises:
        HostError: it cannot be written.
    """
    row = None if result.best is None else result.rows[result.best]
    if row is None or row.measurement is None:
        return None
    latencies = row.measurement.latencies_ns
    evidence = {
        "p50_ns": quantile(latencies, 50.0),
        "p90_ns": quantile(latencies, PERCENTILE),
        "queries": len(latencies),
        "measured_unix_ns": row.measurement.started_unix_ns,
    }
    return write_settings(manifest, parts, row.config, evidence)


def _united(parts: Sequence[Measurement]) -> Tuple[str, ...]:
    """Return all flaws; of those that differ in their figures only, the first."""
    united: Dict[str, str] = {}
    for part in parts:
        for flaw in part.flaws:
            united.setdefault(_FIGURE.sub("#", flaw), flaw)
    return tuple(united.values())


def merge_rounds(rounds: Mapping[int, Measurement]) -> Measurement:
    """Put the rounds of one combination together: all latencies in order, all flaws once.

    Import, load and first inference are those of the middle round by load time, the memory is the
    most; the machine is as before the first and after the last.
    """
    parts = [measurement for _, measurement in sorted(rounds.items())]
    if len(parts) == 1:
        return replace(parts[0], rounds=(len(parts[0].latencies_ns),))
    middle = sorted(parts, key=lambda part: part.load_ns)[len(parts) // 2]
    peaks = [part.peak_memory_bytes for part in parts]
    durations = [part.duration_ns for part in parts]
    known = [part.telemetry for part in parts if part.telemetry is not None]
    return replace(
        middle,
        started_unix_ns=parts[0].started_unix_ns,
        before=parts[0].before,
        after=parts[-1].after,
        warmup_ns=tuple(ns for part in parts for ns in part.warmup_ns),
        latencies_ns=tuple(ns for part in parts for ns in part.latencies_ns),
        duration_ns=None if None in durations else sum(ns or 0 for ns in durations),
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        flaws=_united(parts),
        telemetry=known[-1] if known else None,
        rounds=tuple(len(part.latencies_ns) for part in parts),
    )
