"""The whole page: one HTML file that loads nothing, runs no script and escapes every text."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

import edge
from edge.adapters.results import Results
from edge.errors import printable
from edge.report import text
from edge.report.measurement_view import measurement_view
from edge.report.model_view import model_view
from edge.report.raw_data import raw_files
from edge.report.verdict_view import VerdictView, verdict_view
from edge.units import UNKNOWN, format_bytes, format_count, format_money

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: Final = Path(__file__).parent / "templates"
_LONGEST_TEXT = 2000
# A figure and its unit stay on one line.
_UNIT_SPACE = re.compile(r"(?<=\d) (?=(?:%|[nµm]?s|[KMG]iB|[A-Z]{3})(?:\W|$))")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:)]")


def render_report(results: Results) -> str:
    """Return the HTML page for the results; the same results give the same page."""
    # inspect and advise may both have written what the model is.
    models = tuple(dict.fromkeys(results.models))
    verdicts = [verdict_view(v, f"v{n}") for n, v in enumerate(results.verdicts, start=1)]
    measurements = [
        measurement_view(m, results.verdicts, f"m{n}")
        for n, m in enumerate(results.measurements, start=1)
    ]
    css = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    html = (
        _environment()
        .get_template("page.html")
        .render(
            title=_title(verdicts, results),
            subject=_subject(results),
            css=Markup(css),  # noqa: S704 - our own style sheet
            css_sha256=_style_digest(css),
            verdicts=verdicts,
            measurements=measurements,
            models=[model_view(m, f"i{n}") for n, m in enumerate(models, start=1)],
            raw_files=raw_files(models, results.measurements, results.verdicts),
            version=edge.__version__,
        )
    )
    # JSON can smuggle in half a surrogate pair, which no UTF-8 file can hold.
    return html.encode("utf-8", "backslashreplace").decode("utf-8")


def _title(verdicts: Sequence[VerdictView], results: Results) -> str:
    if len(verdicts) == 1:
        return f"{verdicts[0].heading}: {verdicts[0].record.model}"
    if verdicts:
        return f"{len(verdicts)} verdicts: {_subject(results)}"
    if results.measurements:
        return f"{text.plural(len(results.measurements), 'measurement')}: {_subject(results)}"
    return f"Model facts: {_subject(results)}"


def _subject(results: Results) -> str:
    """Name the models that the page is about, each once."""
    names = [v.model for v in results.verdicts]
    names += [m.model.name for m in results.measurements]
    names += [m.name for m in results.models]
    return ", ".join(dict.fromkeys(names))


def _style_digest(css: str) -> str:
    """Return the digest by which the page's policy allows this style sheet and no other."""
    return base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_final,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        bytes=format_bytes,
        command=command,
        count=format_count,
        duration=text.duration_text,
        kept=kept,
        limit=text.limit_text,
        linked=linked,
        load=text.load_text,
        money=format_money,
        number=text.number_text,
        percent=text.percent_text,
        span=text.interval_text,
        utc=text.utc_text,
        things=text.plural,
    )
    environment.globals["kind_names"] = text.KIND_NAMES
    return environment


def _final(value: Any) -> Any:
    """Make control and direction characters of foreign strings visible; None is unknown."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, _LONGEST_TEXT)
    return value


def kept(sentence: object) -> object:
    """Keep figures and their units together; what is already markup stays as it is."""
    if not isinstance(sentence, str) or isinstance(sentence, Markup):
        return sentence
    escaped = str(escape(printable(sentence, _LONGEST_TEXT)))
    return Markup(_UNIT_SPACE.sub("&nbsp;", escaped))  # noqa: S704 - escaped one line above


def command(lines: str) -> Markup:
    """Show commands, one a line, that break between their words only: `--target` stays whole."""
    word = Markup('<span class="word">{}</span>')
    shown = [
        Markup("<code>{}</code>").format(
            Markup(" ").join(word.format(w) for w in printable(line, _LONGEST_TEXT).split(" "))
        )
        for line in lines.splitlines()
    ]
    return Markup("\n").join(shown)


def linked(source: str) -> Markup:
    """Make the web addresses in a source clickable; nothing else of it becomes markup."""
    source = printable(source, _LONGEST_TEXT)
    parts, end = [], 0
    for match in _ADDRESS.finditer(source):
        address = escape(match.group())
        parts.append(escape(source[end : match.start()]))
        parts.append(Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(address))
        end = match.end()
    return Markup("").join([*parts, escape(source[end:])])
