"""How a user's pictures, texts or tables become a model's inputs, and where their labels are."""

from dataclasses import dataclass
from typing import Literal

MOST_TOKENS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """A recipe file of plain keys; what is None follows from the model, its card and the data.

    Pictures: `resize` and `interpolation` bring them to the input's size (`short_side_px` and
    `crop_px` are a resize of their own); then value * `scale` + `offset` of pixels from 0 to 255,
    or (value - `mean`) / `std` of pixels in `range`, in the channels' `order`. Texts: the column
    `text`, cut at `max_tokens`. Labels: `labels` says where, `label` is the column's name,
    `classes` are the names in the order of the class numbers.
    """

    resize: Literal["stretch", "letterbox", "crop"] | None = None
    short_side_px: int | None = None
    crop_px: int | None = None
    interpolation: Literal["area", "linear", "cubic"] | None = None
    antialias: bool = False
    bars: int | None = None
    align: Literal["centre", "start"] | None = None
    order: Literal["RGB", "BGR"] | None = None
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    range: Literal["0..255", "0..1"] | None = None
    text: str | None = None
    max_tokens: int | None = None
    header: bool | None = None
    label: str | None = None
    labels: Literal["folders", "file", "name", "column", "none"] | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse keys that do not go together and values that mean nothing."""
        self._require_resize()
        self._require_values()
        if self.max_tokens is not None and not 2 <= self.max_tokens <= MOST_TOKENS:
            raise ValueError(f"max_tokens must be from 2 to {MOST_TOKENS}, got {self.max_tokens}")
        for key, value in (("text", self.text), ("label", self.label)):
            if value is not None and not value.strip():
                raise ValueError(f"{key} must name a column")
        if self.label is not None and self.labels not in (None, "column"):
            raise ValueError(f'label names a column, and labels = "{self.labels}"')
        if self.classes is not None:
            _require_classes(self.classes)

    def _require_resize(self) -> None:
        short, crop = self.short_side_px, self.crop_px
        for key, pixels in (("short_side_px", short), ("crop_px", crop)):
            if pixels is not None and not 1 <= pixels <= 1 << 14:
                raise ValueError(f"{key} must be from 1 to {1 << 14}, got {pixels}")
        if (short is None) != (crop is None):
            raise ValueError("short_side_px and crop_px go together: 256 and 224, for instance")
        if short is not None and crop is not None:
            if self.resize is not None:
                raise ValueError("short_side_px is a resize of its own: leave out resize")
            if crop > short:
                raise ValueError(f"crop_px {crop} is more than short_side_px {short}")
        if self.antialias and self.interpolation not in ("linear", "cubic"):
            raise ValueError('antialias needs interpolation = "linear" or "cubic"')
        if self.resize != "letterbox" and (self.bars is not None or self.align is not None):
            raise ValueError('bars and align need resize = "letterbox"')
        if self.bars is not None and not 0 <= self.bars <= 255:
            raise ValueError(f"bars must be from 0 to 255, got {self.bars}")

    def _require_values(self) -> None:
        for key in ("scale", "offset", "mean", "std"):
            values: tuple[float, ...] | None = getattr(self, key)
            if values is not None and len(values) not in (1, 3):
                raise ValueError(f"{key} must be 1 number or 3, got {len(values)}")
            if values is not None and not all(abs(value) < float("inf") for value in values):
                raise ValueError(f"{key} must be finite")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        if self.mean is not None and (self.scale is not None or self.offset is not None):
            raise ValueError("either scale and offset, or mean and std")
        if (self.mean is None) != (self.range is None):
            raise ValueError(
                'mean and std need range: "0..255" or "0..1", the pixels that they are of'
            )
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive")
        if self.scale is not None and 0 in self.scale:
            raise ValueError("scale must not be 0")

    def pixel_values(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return scale and offset for pixels from 0 to 255; None where the recipe says neither.

        (value / r - mean) / std is value * (1 / (r * std)) - mean / std; r is 1, or 255 for 0..1.
        """
        if self.mean is not None and self.std is not None:
            whole = 255.0 if self.range == "0..1" else 1.0
            count = max(len(self.mean), len(self.std))
            means, stds = _each(self.mean, count), _each(self.std, count)
            offsets = tuple(-mean / std for mean, std in zip(means, stds, strict=True))
            return tuple(1 / (whole * std) for std in stds), offsets
        if self.scale is None and self.offset is None:
            return None
        return self.scale or (1.0,), self.offset or (0.0,)


def _each(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return values * count if len(values) == 1 else values


def _require_classes(classes: tuple[str, ...]) -> None:
    if not classes or not all(name.strip() for name in classes):
        raise ValueError("classes must be names")
    if len(set(classes)) != len(classes):
        double = next(name for n, name in enumerate(classes) if name in classes[:n])
        raise ValueError(f"classes has {double!r} twice")
