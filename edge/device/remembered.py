"""The measurements of a search, each on the disk before the next one starts. Device slice: Python 3.8."""

import json
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence

import edge
from edge.device.journal import Journal
from edge.errors import ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.host import HostFacts
from edge.records.measurement import Measurement, SessionConfig
from edge.records.scenario import Scenario

Measure = Callable[[Scenario], Measurement]


def search_identity(
    model_sha256: str, config: SessionConfig, options: Mapping[str, Any], host: HostFacts
) -> Dict[str, Any]:
    """Return, as JSON, what has to be the same for a finished run to be taken up again."""
    told = {
        "model_sha256": model_sha256,
        "config": to_dict(config),
        "options": dict(options),
        "machine": [host.machine, host.cpu_model, list(host.cpu_features)],
        "edgekit_version": edge.__version__,
    }
    plain: Dict[str, Any] = json.loads(json.dumps(told))
    return plain


@contextmanager
def remembered(
    measure: Measure, path: str, identity: Mapping[str, Any], *, resume: bool
) -> Iterator[Measure]:
    """Give `measure` with a memory: what it finds is in the journal before anybody uses it.

    With `resume`, what the latest search of that identity has finished is not measured again. A
    search asks the same as long as it gets the same answers, so that it arrives where it was.

    Raises:
        ConfigError: the file holds what is no journal.
        HostError: it cannot be written, or another process has it open.
    """
    with Journal.open(path) as journal:
        known: Dict[str, List[Measurement]] = {}
        if resume:
            known = _finished(journal.documents(), identity)
        else:
            journal.append({"search": "start"})

        def asked(scenario: Scenario) -> Measurement:
            before = known.get(_key(scenario))
            if before:
                return before.pop(0)
            found = measure(scenario)
            journal.append(
                {
                    "search": "run",
                    "identity": dict(identity),
                    "asked": to_dict(scenario),
                    "measurement": to_dict(found),
                }
            )
            return found

        yield asked


def _finished(
    documents: Sequence[Mapping[str, Any]], identity: Mapping[str, Any]
) -> Dict[str, List[Measurement]]:
    begun = [i for i, told in enumerate(documents) if told.get("search") == "start"]
    known: Dict[str, List[Measurement]] = {}
    for told in documents[begun[-1] + 1 if begun else 0 :]:
        if told.get("search") != "run" or told.get("identity") != identity:
            continue
        try:
            asked = from_dict(Scenario, told["asked"])
            found = from_dict(Measurement, told["measurement"])
        except LookupError as error:
            raise ConfigError("a run of the search lacks {}".format(error)) from error
        known.setdefault(_key(asked), []).append(found)
    return known


def _key(scenario: Scenario) -> str:
    return json.dumps(to_dict(scenario), sort_keys=True)
