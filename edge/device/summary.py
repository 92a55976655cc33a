"""What a bundle's commands print of a manifest and of a measurement. Device slice: Python 3.8."""

from typing import List, Tuple

from edge.errors import printable
from edge.reasoning.stats import quantile, queries_needed, throughput_per_s
from edge.records.manifest import Manifest
from edge.records.measurement import Measurement
from edge.units import UNKNOWN, format_bytes, format_ns

_PERCENTILES = (50.0, 90.0, 99.0)


def info_lines(manifest: Manifest, size: str, digest: str) -> List[str]:
    """Return the manifest in short, one line a fact."""
    model = manifest.model
    model_size = format_bytes(model.size_bytes)
    runtime = "{} {}".format(manifest.runtime, manifest.runtime_version)
    rows = [
        ("bundle", "{}, by edgekit {}".format(manifest.name, manifest.edgekit_version)),
        ("target", manifest.target),
        ("model", "{}, {}, {}, {}".format(model.name, model.format, model.precision, model_size)),
        ("sha256", model.sha256),
        *(("input", str(spec)) for spec in model.inputs),
        *(("output", str(spec)) for spec in model.outputs),
        ("licence", model.licence or UNKNOWN),
        ("source", model.source or UNKNOWN),
        ("runtime", "{}, threads: {}".format(runtime, manifest.session.threads)),
        ("needs", ", ".join(_needs(manifest))),
        *(("wheel", "{} {}".format(wheel.name, wheel.version)) for wheel in manifest.wheels),
        ("samples", "{}, {}".format(manifest.samples.count, _rule(manifest))),
        ("outputs of", manifest.samples.reference),
        ("size", size),
        ("digest", digest),
    ]
    return _aligned(rows)


def _needs(manifest: Manifest) -> List[str]:
    needs = [manifest.architecture, "Python " + manifest.python, "glibc " + manifest.glibc]
    if manifest.libstdcxx is not None:
        needs.append("GLIBCXX_" + manifest.libstdcxx)
    return [*needs, *manifest.apt_packages]


def _rule(manifest: Manifest) -> str:
    samples = manifest.samples
    if samples.compare == "top1":
        return "the largest entry has to be the same"
    return "at most {:g} + {:g} of the value off".format(samples.atol, samples.rtol)


def measurement_lines(measurement: Measurement) -> List[str]:
    """Return the measurement in short; a percentile only with the queries that it needs."""
    count = len(measurement.latencies_ns)
    runtime = measurement.runtime
    rows = [
        ("model", measurement.model.name),
        (
            "runtime",
            "{} {}, threads: {}".format(runtime.distribution, runtime.version, runtime.threads),
        ),
        ("machine", measurement.host.board or measurement.host.cpu_model or UNKNOWN),
        ("import", format_ns(measurement.import_ns)),
        ("load", format_ns(measurement.load_ns)),
        ("first", format_ns(measurement.first_inference_ns)),
        ("queries", str(count)),
    ]
    for percentile in _PERCENTILES:
        short = queries_needed(percentile) - count
        text = "needs {} more queries".format(short)
        if short <= 0:
            text = format_ns(quantile(measurement.latencies_ns, percentile))
        rows.append(("p{:g}".format(percentile), text))
    found = throughput_per_s(measurement)
    if found is not None:
        rows.append(("throughput", "{:.4g} samples a second".format(found.per_s)))
    rows.extend(
        ("stage", "{}: p50 {}".format(stage.name, format_ns(quantile(stage.latencies_ns, 50))))
        for stage in measurement.stages
    )
    frames = measurement.frames
    if frames is not None:
        rows.append(("frames", "{} of {} dropped".format(frames.dropped, frames.offered)))
    if measurement.energy is not None:
        joules = measurement.energy.joules_per_inference
        rows.append(("energy", "{:.4g} J an inference".format(joules)))
    elif measurement.energy_missing is not None:
        rows.append(("energy", "unknown: {}".format(measurement.energy_missing)))
    rows.append(("memory", format_bytes(measurement.peak_memory_bytes)))
    rows.extend(("flaw", flaw) for flaw in measurement.flaws)
    return _aligned(rows)


def _aligned(rows: List[Tuple[str, str]]) -> List[str]:
    return ["{:<11} {}".format(name, printable(text, 300)) for name, text in rows]
