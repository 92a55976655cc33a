"""Pictures brought to a model's input as a recipe says; more ways than a device has."""

from collections.abc import Mapping
from typing import Any

from edge.backends.protocol import Array
from edge.datasets.resampling import resampled
from edge.device.pictures import PictureForm, import_opencv
from edge.errors import UsageError
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

_RESIZED = {"stretch": "stretched", "letterbox": "letterboxed", "crop": "cropped"}


class RecipeForm(PictureForm):
    """How pictures become one input: `decode`, then `resize`, then `normalise`."""

    def __init__(self, spec: TensorSpec, recipe: DataRecipe, card: Mapping[str, Any]) -> None:
        """Keep what the recipe says; the values of pixels are the `card`'s where it says nothing.

        Raises:
            UsageError: the input takes no picture, or not with these numbers.
        """
        values = recipe.pixel_values()
        scale: Any = card.get("scale")
        offset: Any = card.get("offset")
        self._source = "the card's" if scale is not None or offset is not None else "of nothing"
        if values is not None:
            scale, offset = (each[0] if len(each) == 1 else list(each) for each in values)
            self._source = "the recipe's"
        form = {"scale": scale, "offset": offset, "resize": recipe.resize, "order": recipe.order}
        super().__init__(spec, form)
        self._recipe = recipe
        self._takes_pixels = self._dtype.kind != "f"
        if recipe.order is not None and self.channels == 1:
            raise UsageError(f"order = {recipe.order!r}: the input {spec} has one channel")

    def words(self) -> str:
        """Return what becomes of a picture."""
        recipe, size = self._recipe, f"{self.height}x{self.width}"
        if recipe.short_side_px is not None:
            part = f"the middle {recipe.crop_px} of short side {recipe.short_side_px}"
            how = f"resized to {size}, {part}"
        else:
            how = f"{_RESIZED[recipe.resize or 'stretch']} to {size}"
        if recipe.interpolation is not None:
            how += f" ({'antialiased ' if recipe.antialias else ''}{recipe.interpolation})"
        colours = "grey" if self.channels == 1 else recipe.order or "RGB"
        if self._takes_pixels:
            return f"{how}, {colours}, pixels as they are"
        if self._source == "of nothing":
            return f"{how}, {colours}, pixels from 0 to 1 as nothing says otherwise"
        return f"{how}, {colours}, values as {self._source}"

    def resize(self, pixels: Array) -> Array:
        """Bring a picture to the input's height and width."""
        if self._recipe.short_side_px is not None:
            return self._middle(pixels)
        if self._recipe.bars is not None or self._recipe.align == "start":
            return self._letterboxed(pixels)
        return super().resize(pixels)

    def _middle(self, pixels: Array) -> Array:
        """Resize the short side, then cut the input's size out of the middle.

        torchvision's Resize and CenterCrop: the long side is rounded down, the margin to even.
        Where the input is larger or smaller than `crop_px`, so is the short side, in proportion.
        """
        short_px, crop_px = self._recipe.short_side_px, self._recipe.crop_px
        assert short_px is not None
        assert crop_px is not None
        height, width = pixels.shape[:2]
        short = round(short_px * min(self.height, self.width) / crop_px)
        # A wide input cuts more of one side than the short one may have.
        least = max(self.height / height, self.width / width) * min(height, width)
        short = max(short, -int(-least // 1))
        rows, columns = (
            (short, short * width // height)
            if height <= width
            else (short * height // width, short)
        )
        rows, columns = max(rows, self.height), max(columns, self.width)
        whole = self.scaled(pixels, rows, columns)
        top, left = round((rows - self.height) / 2), round((columns - self.width) / 2)
        return whole[top : top + self.height, left : left + self.width]

    def _letterboxed(self, pixels: Array) -> Array:
        """Make it as large as fits, in the middle or at the top left, with bars of a grey."""
        import numpy as np

        height, width = pixels.shape[:2]
        ratio = min(self.height / height, self.width / width)
        rows = min(self.height, max(1, int(height * ratio + 0.5)))
        columns = min(self.width, max(1, int(width * ratio + 0.5)))
        centred = self._recipe.align != "start"
        top, left = ((self.height - rows) // 2, (self.width - columns) // 2) if centred else (0, 0)
        bars = 114 if self._recipe.bars is None else self._recipe.bars
        whole = np.full((self.height, self.width, *pixels.shape[2:]), bars, pixels.dtype)
        whole[top : top + rows, left : left + columns] = self.scaled(pixels, rows, columns)
        return whole

    def scaled(self, pixels: Array, height: int, width: int) -> Array:
        """Return the whole picture at another size, by the interpolation of the recipe."""
        kind = self._recipe.interpolation
        if kind is None:
            return super().scaled(pixels, height, width)
        if self._recipe.antialias and kind != "area":
            return resampled(pixels, height, width, kind)
        cv2 = import_opencv()
        how = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
        resized: Array = cv2.resize(pixels, (width, height), interpolation=how[kind])
        return resized
