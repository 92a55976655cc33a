"""The Kubernetes manifest of an image: a Job with the limits of the target.

Pure: the document and its text. The text is YAML whose strings are spelt as JSON spells them, so
that no string can become a number, a date or another key; https://yaml.org/spec/1.2.2/.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_MIB: Final = 1 << 20
_LONGEST_NAME: Final = 63
_USER: Final = 65534
_ODD: Final = re.compile(r"[^a-z0-9-]+")
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*")
_WORDS: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def image_job(
    name: str, image: str, *, architecture: str, cores: int, memory_bytes: int
) -> dict[str, Any]:
    """Return a Job that runs the image's samples once; `architecture` as Go calls it ("amd64").

    Requests are the limits, so the pod is Guaranteed: its processor and memory are its own.
    """
    job = kubernetes_name(name)
    labels = {"app.kubernetes.io/name": job, "app.kubernetes.io/managed-by": "edgekit"}
    limits = {"cpu": str(cores), "memory": _quantity(memory_bytes)}
    container = {
        "name": "bundle",
        "image": image,
        "args": ["run"],
        "resources": {"requests": dict(limits), "limits": dict(limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a place in the pod
    }
    pod = {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": architecture},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
        },
    }


def kubernetes_name(name: str) -> str:
    """Return a name without what a name of Kubernetes (RFC 1123) cannot have."""
    plain = _ODD.sub("-", name.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")
    return plain or "model"


def yaml_text(document: Mapping[str, Any], comment: str = "") -> str:
    """Return a document as YAML, keys in their order, with a comment above it.

    Strings have characters of Unicode's first plane, as JSON's escapes are YAML's only there.
    """
    lines = [f"# {line}" if line else "#" for line in comment.splitlines()]
    body = _lines(document, "") if document else ["{}"]
    return "\n".join([*lines, *body]) + "\n"


def _quantity(memory_bytes: int) -> str:
    return str(memory_bytes) if memory_bytes % _MIB else f"{memory_bytes // _MIB}Mi"


def _lines(value: Mapping[str, Any] | list[Any], indent: str) -> Iterator[str]:
    pairs: list[tuple[str, Any]]
    if isinstance(value, Mapping):
        pairs = [(f"{_scalar(key)}:", item) for key, item in value.items()]
    else:
        pairs = [("-", item) for item in value]
    for head, item in pairs:
        if not isinstance(item, (Mapping, list)):
            yield f"{indent}{head} {_scalar(item)}"
        elif not item:
            yield f"{indent}{head} {'[]' if isinstance(item, list) else '{}'}"
        elif head == "-":
            # The first line of the item stands behind the dash, the others below it.
            first, *others = _lines(item, indent + "  ")
            yield f"{indent}- {first.strip()}"
            yield from others
        else:
            yield f"{indent}{head}"
            yield from _lines(item, indent + "  ")


def _scalar(value: str | int | bool) -> str:  # noqa: FBT001 - a value of a document
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # The one character that JSON leaves as it is and YAML does not allow.
    return json.dumps(value).replace("\x7f", "\\x7f")
