"""Which pictures a folder has, and where their labels are."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.datasets.classes import class_numbers, is_whole, read_classes
from edge.datasets.rows import MOST_ROWS, csv_table, place
from edge.device.sources import PICTURES
from edge.errors import UsageError, printable
from edge.records.data_recipe import DataRecipe

LABELS_FILE: Final = "labels.csv"
CLASSES_FILE: Final = "classes.txt"
_NUMBER_AT_END = re.compile(r"_(\d{1,9})$")
_KINDS: Final = "it reads " + " ".join(PICTURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFiles:
    """Pictures in order, their class numbers (None: no labels), and in words what these are."""

    files: tuple[Path, ...]
    labels: tuple[int, ...] | None
    words: str


def find_pictures(
    place_of_it: Path, recipe: DataRecipe, labels: Path | None, outputs: int | None
) -> LabelledFiles:
    """Find the pictures and their labels; `outputs` is how many classes the model tells apart.

    Raises:
        UsageError: there is none, a label is wrong, or a file lies outside the folder.
    """
    root = place_of_it if place_of_it.is_dir() else place_of_it.parent
    found = _Folder(root, recipe, outputs)
    kind = recipe.labels
    if kind == "column":
        what = 'labels = "column" is for texts and tables'
        raise UsageError(what, where=place_of_it, hint='"folders", "file", "name" or "none"')
    if labels is not None and kind not in (None, "file"):
        raise UsageError(f'a labels file, and the recipe says labels = "{kind}"', where=labels)
    alone = place_of_it != root
    if labels is None and kind != "none" and not alone and (root / LABELS_FILE).is_file():
        labels = root / LABELS_FILE if kind in (None, "file") else None
    if labels is not None:
        return found.listed(labels, place_of_it if alone else None)
    if kind == "file":
        raise UsageError("there is no file of labels", where=root / LABELS_FILE, hint=_FILE)
    if alone:
        return found.plain((place_of_it,), kind)
    return found.all(kind)


_FILE: Final = "a CSV file with the columns file and label"


class _Folder:
    """A folder of pictures, which none of its names leads out of."""

    def __init__(self, root: Path, recipe: DataRecipe, outputs: int | None) -> None:
        self._root, self._real = root, root.resolve()
        self._recipe, self._outputs = recipe, outputs

    def all(self, kind: str | None) -> LabelledFiles:
        """Return all pictures: those of the folder, or those of its subfolders, a class each."""
        here, folders = self._pictures(self._root), self._folders()
        inside = {name: files for name, files in folders.items() if files}
        if here and inside and kind is None:
            what = f"pictures lie in the folder and in its subfolders ({next(iter(inside))})"
            hint = 'say labels = "folders" or labels = "none" in a recipe, or move them apart'
            raise UsageError(printable(what, 200), where=self._root, hint=hint)
        if inside and (kind == "folders" or (kind is None and not here)):
            return self._by_folder(inside)
        if kind == "folders":
            what = "there are no subfolders with pictures"
            raise UsageError(what, where=self._root, hint="one for each class")
        everything = here + tuple(file for files in inside.values() for file in files)
        if not everything:
            raise UsageError("no pictures there", where=self._root, hint=_KINDS)
        return self.plain(everything, kind)

    def plain(self, files: tuple[Path, ...], kind: str | None) -> LabelledFiles:
        """Return pictures without labels, or with the number at the end of their names."""
        if kind != "name":
            return LabelledFiles(files=files, labels=None, words="without labels")
        numbers = []
        for file in files:
            match = _NUMBER_AT_END.search(file.stem)
            if match is None:
                what = 'no number ends its name, and the recipe says labels = "name"'
                raise UsageError(what, where=file, hint="such as picture_243.jpg")
            numbers.append(match.group(1))
        return self._labelled(files, numbers, lambda n: files[n], sorts=False)

    def _by_folder(self, folders: dict[str, tuple[Path, ...]]) -> LabelledFiles:
        files = tuple(file for found in folders.values() for file in found)
        texts = [name for name, found in folders.items() for _ in found]
        if not all(map(is_whole, folders)) or self._classes() is not None:
            return self._labelled(files, texts, lambda n: files[n].parent, sorts=True)
        numbers = self._labelled(files, texts, lambda n: files[n].parent, sorts=True)
        words = f"labels: the numbers of {len(folders)} subfolders"
        return LabelledFiles(files=files, labels=numbers.labels, words=words)

    def listed(self, labels: Path, only: Path | None) -> LabelledFiles:
        """Return the pictures that a labels file names, in its order, or `only` one of them."""
        names, rows = csv_table(labels)
        if "file" not in names or "label" not in names:
            what = "the first line does not name the columns file and label"
            raise UsageError(what, where=place(labels, 1), hint="file,label")
        at, label = names.index("file"), names.index("label")
        lines, files, texts = [], [], []
        seen: set[str] = set()
        for line, row in rows:
            if row[at] in seen:
                what = f"{printable(row[at], 60)!r} stands there twice"
                raise UsageError(what, where=place(labels, line))
            seen.add(row[at])
            file = self._inside(row[at], place(labels, line))
            if only is None or file == only.resolve():
                lines.append(line)
                files.append(file)
                texts.append(row[label])
        if not files:
            what = "it names no picture" if only is None else f"it does not name {only.name}"
            raise UsageError(what, where=labels, hint=_FILE)
        return self._labelled(files, texts, lambda n: place(labels, lines[n]), sorts=False)

    def _labelled(
        self, files: Sequence[Path], texts: Sequence[str], where: object, *, sorts: bool
    ) -> LabelledFiles:
        assert callable(where)
        numbers, words = class_numbers(
            texts, where, classes=self._classes(), sorts=sorts, outputs=self._outputs
        )
        return LabelledFiles(files=tuple(files), labels=numbers, words=words)

    def _classes(self) -> tuple[str, ...] | None:
        if self._recipe.classes is not None:
            return self._recipe.classes
        path = self._root / CLASSES_FILE
        return read_classes(path) if path.is_file() else None

    def _inside(self, name: str, where: str) -> Path:
        """Return the file that a labels file names.

        Raises:
            UsageError: it is not there, or not in the folder.
        """
        outside = Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name
        if not name or outside:
            what = f"{printable(name, 100)!r} is no file of the folder"
            raise UsageError(what, where=where, hint="name files as they lie in it: cats/1.jpg")
        path = self._root / name
        real = path.resolve()
        if not real.is_relative_to(self._real):
            raise _link_out(path)
        if not real.is_file():
            what = f"{printable(name, 100)!r} is not there"
            raise UsageError(what, where=where, hint=f"files lie in {self._root}")
        return real

    def _folders(self) -> dict[str, tuple[Path, ...]]:
        names = sorted(entry.name for entry in self._entries(self._root) if entry.is_dir())
        return {name: self._pictures(self._root / name) for name in names}

    def _pictures(self, folder: Path) -> tuple[Path, ...]:
        entries = self._entries(folder)
        names = sorted(e.name for e in entries if Path(e.name).suffix.lower() in PICTURES)
        files = tuple(folder / name for name in names)
        for file in files:
            if file.is_symlink() and not file.resolve().is_relative_to(self._real):
                raise _link_out(file)
            if not file.is_file():
                raise UsageError("it is no plain file", where=file)
        return files

    def _entries(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        """List a folder; what begins with a dot is nobody's data."""
        if not folder.resolve().is_relative_to(self._real):
            raise _link_out(folder)
        try:
            with os.scandir(folder) as entries:
                for number, entry in enumerate(entries):
                    if number == MOST_ROWS:
                        raise UsageError(f"more than {MOST_ROWS} files", where=folder)
                    if not entry.name.startswith("."):
                        yield entry
        except OSError as error:
            raise UsageError((error.strerror or "unreadable").lower(), where=folder) from error


def _link_out(path: Path) -> UsageError:
    hint = "copy what it leads to, or give the folder where that lies"
    return UsageError("a link that leads out of the folder", where=path, hint=hint)
