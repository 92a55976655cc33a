"""From a bundle to a container image for a cloud CPU, with its Kubernetes manifest."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edge.adapters.debian import debian_architecture, fetch_packages, python_root
from edge.adapters.files import host_error, write_text
from edge.adapters.image_base import BaseImage, load_base
from edge.adapters.image_layers import Entry, Layer, folder_entries, write_layer
from edge.adapters.image_root import USER, licence_packages, write_root_layer
from edge.adapters.oci import ImageArchive, write_archive
from edge.adapters.targets import load_target
from edge.device.bundle import Bundle, open_bundle
from edge.device.parts import SITE, write_listing, write_parts
from edge.errors import BundleError, UsageError
from edge.reasoning.image import image_annotations, image_config
from edge.reasoning.kubernetes import image_job, kubernetes_name, yaml_text
from edge.records.manifest import Manifest
from edge.records.target import Target
from edge.workflows.this_host import HOST

Progress = Callable[[float], None]

# In the image it lies as it would be installed on a device.
_ROOT: Final = "opt/edgekit"
# It runs as nobody from a file system that nobody can write to.
_LAUNCHER: Final = b'''\
"""Starts the bundle that lies in this image."""

import os
import sys

sys.dont_write_bytecode = True
path = os.path.realpath(__file__)
root = os.path.dirname(os.path.dirname(path))
folder = os.path.realpath(os.path.join(root, "bundles", os.path.basename(path), "current"))
sys.path.insert(0, folder)
from edge.device.launched import main

sys.exit(main(root, folder))
'''
_SUITES: Final = {
    ("3.9", "2.31"): "bullseye",
    ("3.11", "2.36"): "bookworm",
    ("3.13", "2.41"): "trixie",
}
_COMMENT: Final = """\
Runs the samples of {name} once, with the limits of {target}:
processor and memory are those of its target. Put the image into a registry of yours first,
  skopeo copy oci-archive:{file} docker://REGISTRY/{image}
and write its whole name in `image`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenImage:
    """An image on disk and its Kubernetes manifest; `bundle_digest` is that of what is in it."""

    image: ImageArchive
    kubernetes: Path
    manifest: Manifest
    bundle_digest: str


def require_image_target(name: str) -> Target:
    """Return the target if images are written for it: a cloud CPU.

    Raises:
        BundleError: it is another one, with the reason.
        ConfigError: there is no such target.
    """
    hint = "leave --format oci out: a bundle is one file that the machine's own Python runs"
    if name == HOST:
        raise BundleError("images are for cloud CPUs, not for this machine", hint=hint)
    target = load_target(name)
    if target.kind == "edge":
        what = "images are for cloud CPUs; a board has no room for a container runtime and a root"
        raise BundleError(what, where=target.name, hint=hint)
    if target.kind != "cloud-cpu":
        what = "an image carries no GPU driver and no CUDA libraries: use the provider's image"
        raise BundleError(what, where=target.name)
    return target


def write_image(
    bundle_path: Path,
    target: Target,
    output: Path,
    *,
    base: Path | None = None,
    progress: Progress = lambda _fraction: None,
) -> WrittenImage:
    """Write the image of a bundle at `output` (NAME.oci.tar) and NAME.k8s.yaml beside it.

    The root is Debian's, or `base`, an OCI image layout as a folder or a tar file. Nothing of the
    bundle or of the root is run here.

    Raises:
        BundleError: the bundle is damaged or another target's, or `base` does not fit.
        UsageError: SOURCE_DATE_EPOCH is no number of seconds.
        HostError: no network, no apt, no disk space, or `output` cannot be written.
    """
    created = _created()
    with _scratch_folder(output) as scratch, open_bundle(str(bundle_path)) as bundle:
        manifest = bundle.manifest
        if manifest.target != target.name:
            what = f"it is for {manifest.target}, and the image is for {target.name}"
            raise BundleError(what, where=bundle_path)
        root = _root(target, manifest, base, scratch, lambda done: progress(0.4 * done))
        name = kubernetes_name(manifest.name)
        architecture = debian_architecture(manifest.architecture)
        layers = (*root.layers, *_app_layers(bundle, scratch))
        progress(0.7)
        image = write_archive(
            output,
            layers,
            image_config(
                manifest,
                bundle.digest,
                architecture=architecture,
                environment=root.environment,
                entrypoint=(root.python, "-I", "-B", f"/{_ROOT}/bin/{manifest.name}"),
                layers=_layer_names(root, manifest),
                user=USER,
                created=created,
            ),
            name=name,
            annotations=image_annotations(manifest, bundle.digest, created),
            progress=lambda done: progress(0.7 + 0.3 * done),
        )
        kubernetes = kubernetes_path(output)
        job = image_job(
            manifest.name,
            image.reference,
            architecture=architecture,
            cores=int(target.cpu.cores.value),
            memory_bytes=int(target.memory.usable_bytes.value),
        )
        comment = _COMMENT.format(
            name=manifest.name, target=target.name, file=output.name, image=image.reference
        )
        write_text(kubernetes, yaml_text(job, comment))
        return WrittenImage(
            image=image, kubernetes=kubernetes, manifest=manifest, bundle_digest=bundle.digest
        )


@contextmanager
def _scratch_folder(output: Path) -> Iterator[Path]:
    """Give a folder beside the image: there is room for it, and perhaps not in /tmp."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".edgekit-image-", dir=output.parent)
    except OSError as error:
        raise host_error(error, output) from error
    with scratch as folder:
        yield Path(folder)


def kubernetes_path(output: Path) -> Path:
    """Return where the Kubernetes manifest of an image lies: beside it, as NAME.k8s.yaml."""
    stem = output.name
    for suffix in (".tar", ".oci"):
        stem = stem.removesuffix(suffix)
    return output.with_name(f"{stem}.k8s.yaml")


def _created() -> str:
    """Return the image's time: the epoch, or what SOURCE_DATE_EPOCH says, as rebuilders set it."""
    told = os.environ.get("SOURCE_DATE_EPOCH", "0")
    try:
        moment = datetime.fromtimestamp(int(told), timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        hint = "unset it, or set it to seconds since 1970"
        raise UsageError("not a number of seconds", where="SOURCE_DATE_EPOCH", hint=hint) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _root(
    target: Target, manifest: Manifest, base: Path | None, scratch: Path, progress: Progress
) -> BaseImage:
    architecture = debian_architecture(manifest.architecture)
    place = scratch / "base"
    place.mkdir()
    if base is not None:
        return load_base(base, place, architecture=architecture, python=manifest.python)
    suite = _SUITES.get((manifest.python, target.os.glibc))
    hint = "give an image that has it as --base"
    if suite is None:
        what = f"no release of Debian has Python {manifest.python} and glibc {target.os.glibc}"
        raise BundleError(what, where=target.name, hint=hint)
    if manifest.apt_packages:
        what = f"the root has none of {', '.join(manifest.apt_packages)}"
        raise BundleError(what, where=target.name, hint=hint)
    names = (*python_root(suite, manifest.python, architecture), *licence_packages(suite))
    packages = fetch_packages(names, suite=suite, architecture=architecture, progress=progress)
    layer = write_root_layer(packages, suite, manifest.python, place)
    return BaseImage(layers=(layer,), environment=(), python=f"/usr/bin/python{manifest.python}")


def _app_layers(bundle: Bundle, scratch: Path) -> tuple[Layer, ...]:
    """Write what the device would unpack, by the device's own code.

    The wheels are a layer of their own, which images of other models for the same target have, too:
    a registry and a node keep it once.
    """
    app = scratch / "app"
    try:
        app.mkdir()
        write_parts(bundle, str(app), lambda _path: True)
        write_listing(str(app), digests=True)
    except OSError as error:
        raise host_error(error, error.filename or app) from error
    entries = folder_entries(app)
    wheels = [entry for entry in entries if entry.name.startswith(f"{SITE}/")]
    own = [entry for entry in entries if entry.name.partition("/")[0] != SITE]
    name = bundle.manifest.name
    home = f"{_ROOT}/bundles/{name}"
    version = f"versions/{bundle.digest}"
    own.append(_link(SITE, f"../../../../{SITE}"))
    around = (
        Entry(name=f"{_ROOT}/bin/{name}", content=_LAUNCHER, mode=0o644),
        _link(f"{home}/current", "pair/current"),
        _link(f"{home}/pair/current", f"../{version}"),
    )
    return (
        write_layer(scratch / "site.tar", _below(f"{_ROOT}/", wheels)),
        write_layer(scratch / "app.tar", (*around, *_below(f"{home}/{version}/", own))),
    )


def _link(name: str, target: str) -> Entry:
    return Entry(name=name, link=target, mode=0o777)


def _below(prefix: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    return (replace(entry, name=prefix + entry.name) for entry in entries)


def _layer_names(root: BaseImage, manifest: Manifest) -> tuple[str, ...]:
    base = (f"base {number}" for number in range(len(root.layers)))
    runtime = f"{manifest.runtime} {manifest.runtime_version}"
    return (*base, runtime, manifest.name)
