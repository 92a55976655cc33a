"""A bundle's model card: Markdown below YAML front matter, in the form that Hugging Face reads.

https://huggingface.co/docs/hub/model-cards. Every string of a model or a card is made printable
and loses its meaning as Markdown.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from edge.errors import printable
from edge.reasoning.licences import stated_licence
from edge.reasoning.variant_lines import variant_rows
from edge.records.card import ModelCard, ModelKind
from edge.records.manifest import BundleModel, BundleSamples
from edge.records.model import ModelInfo
from edge.records.optimization import Optimization
from edge.records.platform import Platform
from edge.records.target import TargetRuntime
from edge.records.tensor import TensorSpec
from edge.units import format_bytes, format_count, format_shape

# The Hub's names of tasks and licences; what is not in it is told otherwise.
_TASKS: Final[Mapping[ModelKind, str]] = MappingProxyType(
    {
        "image-classification": "image-classification",
        "detection": "object-detection",
        "segmentation": "image-segmentation",
        "pose": "keypoint-detection",
        "ocr": "image-to-text",
        "classical": "tabular-classification",
    }
)
_LICENCES: Final = frozenset(
    (
        *("AGPL-3.0", "GPL-2.0", "GPL-3.0", "LGPL-3.0", "MPL-2.0"),
        *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "MIT", "Zlib"),
        *("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "Unlicense"),
    )
)
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>|~$&])")
# What makes a heading, a list or a rule at the beginning of a line.
_AT_START: Final = re.compile(r"^([-+#=]|\d+(?=[.)]))")
_LONGEST_LINE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a model card is made of; `name` is the bundle's, `card` that of models/, if any.

    `evidence` is of the optimisation that made the model, if one did.
    """

    name: str
    model: BundleModel
    info: ModelInfo
    samples: BundleSamples
    platform: Platform
    runtime: TargetRuntime
    threads: int
    edgekit_version: str
    card: ModelCard | None
    evidence: Optimization | None = None


def model_card_text(facts: CardFacts) -> bytes:
    """Return the card as UTF-8: of the same facts the same bytes."""
    title = facts.card.title if facts.card is not None else facts.model.name
    lines = ["---", *_front_matter(facts), "---", f"# {_plain(title)}", ""]
    if facts.card is not None:
        lines += [_paragraph(facts.card.description), ""]
    for heading, body in (
        ("Model", _model_lines(facts)),
        ("Inputs and outputs", _tensor_lines(facts)),
        ("Accuracy", _accuracy_lines(facts)),
        ("Quantisation", _quantisation_lines(facts)),
        *(() if facts.evidence is None else (("Optimisation", _evidence_lines(facts.evidence)),)),
        ("Intended use", _use_lines(facts)),
        ("Samples", _samples_lines(facts.samples)),
        ("Limits", _limit_lines(facts)),
    ):
        lines += [f"## {heading}", "", *body, ""]
    return "\n".join(lines).encode("utf-8")


def _plain(text: object) -> str:
    """Return one line that Markdown shows as it is, behind something else."""
    line = printable(" ".join(str(text).split()), _LONGEST_LINE)
    return _MARKDOWN.sub(r"\\\1", line)


def _paragraph(text: object) -> str:
    """Return one line that Markdown shows as it is, wherever it stands."""
    line = _plain(text)
    at_start = _AT_START.match(line)
    if at_start is None:
        return line
    cut = at_start.end() if at_start[0].isdigit() else 0
    return f"{line[:cut]}\\{line[cut:]}"


def _scalar(text: object) -> str:
    """Return a YAML scalar: a JSON string is one."""
    return json.dumps(printable(text), ensure_ascii=True)


def _front_matter(facts: CardFacts) -> Iterator[str]:
    card, model = facts.card, facts.model
    yield f"model_name: {_scalar(model.name)}"
    if card is not None:
        stated = str(stated_licence(card.licence, "card"))
        if stated in _LICENCES:
            yield f"license: {_scalar(stated.lower())}"
        else:
            yield 'license: "other"'
            yield f"license_name: {_scalar(stated)}"
    else:
        yield 'license: "unknown"'
    yield f"library_name: {_scalar(model.format)}"
    if card is not None and card.kind in _TASKS:
        yield f"pipeline_tag: {_scalar(_TASKS[card.kind])}"
    yield "tags:"
    tags = [model.format, model.precision, facts.runtime.distribution, facts.platform.name]
    for tag in dict.fromkeys(["edgekit", *tags, *([] if card is None else [card.kind])]):
        yield f"  - {_scalar(tag)}"


def _rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "| | |"
    yield "| --- | --- |"
    yield from (f"| {name} | {value} |" for name, value in rows)


def _model_lines(facts: CardFacts) -> Iterator[str]:
    model, info, card = facts.model, facts.info, facts.card
    licence = "unknown: the model came as a file, without a card"
    yield from _rows(
        [
            ("file", f"`{model.path}`"),
            ("SHA-256", f"`{model.sha256}`"),
            ("format", _plain(model.format)),
            ("precision", _plain(model.precision)),
            ("size", f"{format_bytes(model.size_bytes)} ({model.size_bytes} bytes)"),
            ("parameters", format_count(info.parameters)),
            ("multiply-accumulates of one inference", format_count(info.macs, "MAC")),
            ("largest activations", format_bytes(info.peak_activation_bytes)),
            ("licence", licence if card is None else _plain(card.licence)),
            ("source", "unknown" if model.source is None else _plain(model.source)),
            ("external data", _external(info)),
        ]
    )


def _external(info: ModelInfo) -> str:
    if not info.external_files:
        return "none"
    digests = [*info.external_sha256, *[None] * len(info.external_files)]
    pairs = zip(info.external_files, digests, strict=False)
    return "; ".join(f"{_plain(name)} {digest or 'not hashed'}" for name, digest in pairs)


def _tensor_lines(facts: CardFacts) -> Iterator[str]:
    yield "| | name | type | shape |"
    yield "| --- | --- | --- | --- |"
    for side, specs in (("input", facts.model.inputs), ("output", facts.model.outputs)):
        for spec in specs:
            yield f"| {side} | {_plain(spec.name)} | {_plain(spec.dtype)} | {_shape(spec)} |"
    how = None if facts.card is None else facts.card.preprocessing
    yield ""
    if how is None:
        yield "Preprocessing: unknown."
        return
    formula = ""
    if how.scale is not None or how.offset is not None:
        scale, offset = how.scale, how.offset
        formula = (
            f"; value × {1 if scale is None else scale:g} + {0 if offset is None else offset:g}"
        )
    layout = "" if how.layout is None else f"; layout {_plain(how.layout)}"
    yield f"Preprocessing: {_plain(how.description)}{formula}{layout}."


def _shape(spec: TensorSpec) -> str:
    return "unknown" if spec.shape is None else _plain(format_shape(spec.shape))


def _accuracy_lines(facts: CardFacts) -> Iterator[str]:
    told = facts.model.accuracy
    if told is None:
        yield "Not measured."
        return
    yield from _rows(
        [
            (_plain(told.metric), f"{told.value:g}"),
            ("data set", _plain(told.dataset)),
            ("measured with", _plain(told.measured_with)),
        ]
    )


def _quantisation_lines(facts: CardFacts) -> Iterator[str]:
    precision = facts.model.precision
    if precision == "int8":
        yield "Its arithmetic is 8-bit integers: outputs differ from those of the original model."
    elif precision == "mixed":
        yield "Part of its arithmetic is 8-bit integers, the rest is floating point."
    elif precision == "fp16":
        yield "Its arithmetic is 16-bit floating point."
    else:
        yield "None: its arithmetic is 32-bit floating point."
    if facts.card is not None and facts.card.convert is not None:
        yield ""
        yield f"Converted: {_plain(facts.card.convert.description)}"


def _evidence_lines(evidence: Optimization) -> Iterator[str]:
    yield from _rows([(name, _plain(value)) for name, value in variant_rows(evidence)])
    for remark in evidence.remarks:
        yield ""
        yield _paragraph(remark)


def _use_lines(facts: CardFacts) -> Iterator[str]:
    platform, runtime = facts.platform, facts.runtime
    yield from _rows(
        [
            ("bundle", _plain(facts.name)),
            ("target", f"{_plain(platform.name)}: {_plain(platform.title)}"),
            ("architecture", _plain(platform.architecture)),
            ("Python and glibc", f"{platform.python} and {platform.glibc or 'unknown'}"),
            ("runtime", f"{_plain(runtime.distribution)} {_plain(runtime.version)}"),
            ("threads", str(facts.threads)),
            ("packaged by", f"edgekit {facts.edgekit_version}"),
        ]
    )


def _samples_lines(samples: BundleSamples) -> Iterator[str]:
    if samples.compare == "top1":
        rule = "the largest entry along the last axis is the same"
    else:
        rule = f"|got - expected| is at most {samples.atol:g} + {samples.rtol:g} × |expected|"
    yield f"{samples.count} in `{samples.path}`. An output agrees when {_plain(rule)}."
    yield f"The expected outputs were computed by {_plain(samples.reference)}."


def _limit_lines(facts: CardFacts) -> Iterator[str]:
    card = facts.card
    lines = [] if card is None else [_paragraph(note) for note in card.notes]
    lines += [_paragraph(risk) for risk in facts.info.risks]
    if facts.model.accuracy is None:
        lines.append(
            "How accurate it is was not measured; agreement with the samples shows only that it "
            "computes on the target what it computed when it was packaged."
        )
    else:
        lines.append("The accuracy is that on the data set named above, not on yours.")
    lines.append("Latency is not part of this card: measure it on the target with `probe`.")
    yield from (f"- {line}" for line in lines)
