"""What an image says of itself: its configuration and its annotations. Pure.

https://github.com/opencontainers/image-spec: config.md and annotations.md.
"""

from collections.abc import Sequence
from typing import Any, Final

from edge.records.manifest import Manifest

_OCI: Final = "org.opencontainers.image."
_PLACE: Final = "/tmp"  # noqa: S108 - in the container, where nothing else can be written
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": _PLACE}


def image_config(
    manifest: Manifest,
    digest: str,
    *,
    architecture: str,
    environment: Sequence[str],
    entrypoint: Sequence[str],
    layers: Sequence[str],
    user: int,
    created: str,
) -> dict[str, Any]:
    """Return an image's configuration but for its `rootfs`.

    `architecture` is as Go calls it, `environment` the base's ("KEY=VALUE"), `layers` what each
    layer is, `digest` the bundle's.
    """
    settings = {**_ENVIRONMENT, **dict(entry.partition("=")[::2] for entry in environment)}
    return {
        "created": created,
        "architecture": architecture,
        **({"variant": "v8"} if architecture == "arm64" else {}),
        "os": "linux",
        "config": {
            "User": f"{user}:{user}",
            "Env": [f"{key}={value}" for key, value in settings.items()],
            "Entrypoint": list(entrypoint),
            "Cmd": ["run"],
            "WorkingDir": _PLACE,
            "Labels": image_annotations(manifest, digest, created),
        },
        "history": [{"created": created, "created_by": name} for name in layers],
    }


def image_annotations(manifest: Manifest, digest: str, created: str) -> dict[str, str]:
    """Return the annotations, which are the labels, too.

    No `licenses`: one expression for the model, the runtime and the root would leave most out; the
    SBOM has them all.
    """
    model = manifest.model
    told = {
        f"{_OCI}title": manifest.name,
        f"{_OCI}description": f"{model.name} with {manifest.runtime} {manifest.runtime_version}",
        f"{_OCI}version": digest[:12],
        f"{_OCI}created": created,
        "edgekit.bundle.sha256": digest,
        "edgekit.model.sha256": model.sha256,
        "edgekit.target": manifest.target,
        "edgekit.version": manifest.edgekit_version,
    }
    if model.licence is not None:
        told["edgekit.model.licence"] = model.licence
    return dict(sorted(told.items()))
