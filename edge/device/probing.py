"""The command probe, on parts that lie as files. Device slice: Python 3.8."""

import argparse
import os
import sys
from dataclasses import asdict, replace
from typing import Any, Callable, ContextManager, Optional

from edge.device.inference import config_with, memory_bytes, opened_model
from edge.device.output import print_json, print_line
from edge.device.parts import Unpacked
from edge.device.probe import options_of, probe
from edge.device.probe_arguments import scenario_of
from edge.errors import RuntimeFailure, UsageError
from edge.records.codec import to_dict
from edge.records.manifest import Manifest
from edge.records.measurement import Measurement, ModelRef, SessionConfig
from edge.records.scenario import Scenario
from edge.records.search import BatchCurve

# The part of a bundle that is in --sweep's hands; its model and runtime are what they are.
_AXES = ("threads", "graph-level", "provider")


def run_probe(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Measure the model on this machine, as the options say."""
    bundle = _Bundle(manifest, parts, chosen)
    if chosen.sweep is not None:
        return _sweep(bundle)
    if chosen.batch_curve:
        return _batch_curve(bundle)
    if chosen.find_load:
        return _find_load(bundle)
    measurement = bundle.measured()
    _save(bundle, "measurement", measurement)
    if chosen.json:
        print_json(to_dict(measurement))
    else:
        from edge.device.summary import measurement_lines

        for line in measurement_lines(measurement):
            print_line(line)
    return 0


class _Bundle:
    """A bundle's model, ready to be measured with the options of the command line."""

    def __init__(self, manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> None:
        self.manifest, self.parts, self.chosen = manifest, parts, chosen
        self.options = options_of(
            chosen.preset,
            chosen.min_time,
            chosen.max_time,
            chosen.min_queries,
            chosen.warm_up,
        )
        self.config = config_with(
            manifest,
            chosen.threads,
            parts,
            graph_level=chosen.graph_level,
            provider=chosen.provider,
        )

    def measured(self) -> Measurement:
        """Measure what the options ask for, with the stages of a program if they do."""
        chosen = self.chosen
        scenario = scenario_of(
            chosen.scenario, chosen.samples_per_query, chosen.target_qps, chosen.limit_ms
        )
        if scenario is None:
            from edge.device.searching import offline_scenario

            scenario = offline_scenario(self.batch_curve())
        elif scenario.samples_per_query > 1:
            from edge.device.searching import measure_batched

            return measure_batched(self.measure, scenario)
        measurement = self.measure(scenario)
        return measurement if chosen.input is None else self._with_stages(measurement)

    def measure(self, scenario: Scenario, config: Optional[SessionConfig] = None) -> Measurement:
        """Measure one scenario in a child of its own."""
        manifest, parts, chosen = self.manifest, self.parts, self.chosen
        path, used = opened_model(manifest, parts, config or self.config)
        return probe(
            path,
            used,
            self.options,
            model=self.model,
            scenario=scenario,
            target=manifest.target,
            inputs=parts.path(manifest.samples.path),
            memory_bytes=memory_bytes(manifest, used),
            paths=[parts.site],
            energy=chosen.energy or chosen.meter is not None,
            meter=chosen.meter,
        )

    def batch_curve(self) -> BatchCurve:
        """Measure batches, as far as this machine's memory goes."""
        from edge.device.facts import free_bytes
        from edge.device.searching import batch_curve

        with self.remembered("batch-curve") as measure:
            return batch_curve(measure, most_bytes=free_bytes(), progress=_told())

    def remembered(self, kind: str) -> ContextManager[Callable[[Scenario], Measurement]]:
        """Give what measures and keeps what was finished."""
        from edge.device.facts import read_host_facts
        from edge.device.remembered import remembered, search_identity

        options = asdict(self.options)
        sha256, host = self.manifest.model.sha256, read_host_facts()
        identity = search_identity(sha256, self.config, options, host)
        return remembered(self.measure, _journal(self, kind), identity, resume=self.chosen.resume)

    @property
    def model(self) -> ModelRef:
        """Which model it is."""
        model = self.manifest.model
        return ModelRef(model.name, model.format, model.sha256, model.size_bytes)

    def _with_stages(self, measurement: Measurement) -> Measurement:
        from edge.device.stages import run_stages, stage_request

        manifest, told = self.manifest, self.manifest.model.preprocessing
        form = {} if told is None else to_dict(told)
        postprocess = form.pop("postprocess", None)
        path, used = opened_model(manifest, self.parts, self.config)
        times = self.options.for_stages()
        request = stage_request(
            path,
            used,
            self.chosen.input,
            shapes={},
            preprocessing=form,
            postprocess=postprocess,
            warmup_queries=times.warmup_queries,
            min_queries=times.min_queries,
            min_s=times.min_s,
            max_s=times.longest_s,
            fps=self.chosen.fps,
        )
        stages, frames = run_stages(
            request,
            memory_bytes=memory_bytes(manifest, used),
            what=manifest.model.name,
            paths=[self.parts.site],
        )
        return replace(measurement, stages=stages, frames=frames)


def _sweep(bundle: _Bundle) -> int:
    from edge.device.combinations import DEFAULT_ROUNDS, Combination, axes_of, bundle_plan
    from edge.device.search_summary import sweep_lines
    from edge.device.sweep import run_sweep
    from edge.device.zygote import preimported

    chosen, manifest, parts = bundle.chosen, bundle.manifest, bundle.parts
    axes = axes_of(chosen.sweep)
    if not set(axes) <= set(_AXES):
        what = "a bundle has one model and one runtime: {} go with a model file"
        others = " and ".join(axis for axis in axes if axis not in _AXES)
        raise UsageError(what.format(others), where="--sweep")
    plan = bundle_plan(
        manifest, parts, axes, bundle.config, bundle.options, chosen.rounds or DEFAULT_ROUNDS
    )

    def measure(combination: Combination, _round: int) -> Measurement:
        return bundle.measure(Scenario(), combination.config)

    with preimported(manifest.session.backend, [parts.site]):
        result = run_sweep(
            plan,
            measure,
            journal_path=_journal(bundle, "sweep"),
            resume=chosen.resume,
            progress=_remaining(),
        )
    _save(bundle, "sweep", result)
    if chosen.json:
        print_json(to_dict(result))
    else:
        for line in sweep_lines(result):
            print_line(line)
    if result.best is None:
        return RuntimeFailure.exit_code
    if chosen.save_settings:
        from edge.device.sweep import save_best

        sys.stderr.write("settings: {}\n".format(save_best(manifest, parts, result)))
    return 0


def _batch_curve(bundle: _Bundle) -> int:
    from edge.device.search_summary import curve_lines

    return _told_result(bundle, "batch-curve", bundle.batch_curve(), curve_lines)


def _find_load(bundle: _Bundle) -> int:
    from edge.device.search_summary import load_lines
    from edge.device.searching import highest_load

    limit_ns = int(bundle.chosen.limit_ms * 1_000_000)
    with bundle.remembered("load-search") as measure:
        found = highest_load(measure, limit_ns, progress=_told())
    return _told_result(bundle, "load-search", found, load_lines)


def _told_result(bundle: _Bundle, kind: str, result: Any, lines: Callable[[Any], Any]) -> int:
    _save(bundle, kind, result)
    if bundle.chosen.json:
        print_json(to_dict(result))
    else:
        for line in lines(result):
            print_line(line)
    return 0


def _told() -> Optional[Callable[[str], None]]:
    """Return what tells on a terminal what is being measured."""
    if not sys.stderr.isatty():
        return None
    return _tell


def _remaining() -> Optional[Callable[[float, Optional[float], str], None]]:
    if not sys.stderr.isatty():
        return None

    def told(fraction: float, remaining_s: Optional[float], text: str) -> None:
        left = "" if remaining_s is None else ", {:.0f} s left".format(remaining_s)
        _tell("{:4.0%}{}: {}".format(fraction, left, text))

    return told


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _journal(bundle: _Bundle, kind: str) -> str:
    """Return the file to which finished measurements of a sweep or search are written."""
    from edge.device.settings import settings_path

    if bundle.chosen.output is not None:
        os.makedirs(bundle.chosen.output, exist_ok=True)
        return os.path.join(bundle.chosen.output, "{}.{}.jsonl".format(bundle.manifest.name, kind))
    return "{}.{}.jsonl".format(os.path.splitext(settings_path(bundle.parts))[0], kind)


def _save(bundle: _Bundle, kind: str, result: Any) -> None:
    """Write the result whole, and through to the disk: it survives a power cut."""
    folder = bundle.chosen.output
    if folder is None:
        return
    import json

    from edge.device.durable import write_whole
    from edge.errors import HostError

    path = os.path.join(folder, "{}.{}.json".format(bundle.manifest.name, kind))
    try:
        os.makedirs(folder, exist_ok=True)
        write_whole(path, (json.dumps(to_dict(result), indent=1) + "\n").encode())
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise HostError(what, where=path, hint="choose another folder for -o") from error
    sys.stderr.write("written: {}\n".format(path))
