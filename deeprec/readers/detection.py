"""Which files a source means, and how each of them is laid out."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from fnmatch import fnmatch
from glob import glob, has_magic
from pathlib import Path

from deeprec.config.ingestion import IngestConfig
from deeprec.errors import SourceError
from deeprec.readers import movielens, netflix
from deeprec.readers.chunks import first_lines
from deeprec.readers.layouts import (
    Layout,
    ParquetLayout,
    RatingsLayout,
    Role,
    SourceFile,
    UnknownLayout,
)
from deeprec.readers.tables import csv_layout, parquet_layout

# Names that say what a file is, in a folder or on their own; `.gz` may follow.
_KNOWN: dict[str, Layout] = {
    "mv_[0-9]*.txt": netflix.FOLDER,
    "combined_data_*.txt": netflix.COMBINED,
    "movie_titles.txt": netflix.TITLES,
    "movie_titles.csv": netflix.TITLES,
    "u.data": movielens.RATINGS_100K,
    "u.item": movielens.ITEMS_100K,
    "u.user": movielens.USERS_100K,
    "ratings.dat": movielens.RATINGS_1M,
    "movies.dat": movielens.MOVIES_1M,
    "users.dat": movielens.USERS_1M,
    "movies.csv": movielens.MOVIES_CSV,
}
_GIVEN: dict[str, RatingsLayout] = {
    "netflix-folder": netflix.FOLDER,
    "netflix-combined": netflix.COMBINED,
    "ml-100k": movielens.RATINGS_100K,
    "ml-1m": movielens.RATINGS_1M,
}
# What the first line of a ratings file of another name looks like.
_LOOKS: dict[str, RatingsLayout] = {
    r"\d+\s*:\s*": netflix.COMBINED,
    r"\d+\t\d+\t[\d.]+\t\d+\s*": movielens.RATINGS_100K,
    r"\d+::\d+::[\d.]+::\d+\s*": movielens.RATINGS_1M,
}
_TABLES = ("ratings*.csv", "ratings*.tsv", "ratings*.parquet")
_NOT_RATINGS = ("links.csv", "tags.csv", "genome-*.csv")
_TABLE_ENDS = (".csv", ".tsv", ".parquet")
_EXPECTED = (
    "expected Netflix Prize files (training_set/mv_*.txt or combined_data_*.txt), MovieLens files "
    "(u.data, ratings.dat, ratings.csv), or a CSV or Parquet table with columns user_id, movie_id "
    "and rating"
)


def find_files(source: str, config: IngestConfig) -> list[SourceFile]:
    """The files of a source in the order of their paths, each with its layout.

    Raises:
        SourceError: there is nothing there, nothing that is known, or more than one layout of
            ratings to choose from.
    """
    folder = Path(source)
    if not source:
        raise SourceError("an empty source; expected a folder, a file or a glob")
    if folder.is_dir():
        files = _in_folder(folder, config)
    else:
        files = [_as_found(path, _layout, config) for path in _named(source)]
    for file in files:
        _require_unicode(file.path)
    readable = [file for file in files if not isinstance(file.layout, UnknownLayout)]
    formats = sorted({file.layout.format for file in readable if file.layout.role is Role.RATINGS})
    if len(formats) > 1:
        raise SourceError(
            f"{source}: holds ratings in more than one layout ({', '.join(formats)}), perhaps the "
            f"same ones twice; choose with ingest.format, as `--set ingest.format={formats[0]}`, "
            "or name the files"
        )
    # A file that links lead to as well is read once, under its own name.
    own_name_last = sorted(files, key=lambda file: (not file.path.is_symlink(), file.path))
    once = {led_to(file.path): _on_given_scale(file, config) for file in own_name_last}
    return sorted(once.values(), key=lambda file: file.path)


def listed_files(source: str) -> set[Path]:
    """All files of a folder and of the folders in it, those too that are not of its source."""
    folder = Path(source)
    folders = [folder, *folder.glob("[!.]*/")] if folder.is_dir() else []
    readable = [each for each in folders if os.access(each, os.R_OK | os.X_OK)]
    return {path for each in readable for path in _listed(each)}


def led_to(path: Path) -> Path:
    """The file that a link leads to; itself where it is none."""
    return path.resolve() if path.is_symlink() else path


def looks_like_ratings(path: Path) -> bool:
    """Whether a name speaks for ratings: a table's that is not known to be another."""
    is_table = _plain_name(path).endswith(_TABLE_ENDS)
    if is_table:
        _require_unicode(path)
    return is_table and not _known_by_name(path) and not _matches(path, _NOT_RATINGS)


def _require_unicode(path: Path) -> None:
    """Refuse a name that neither a table nor a message can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise SourceError(f"{os.fsencode(path)!r}: this path is no UTF-8; rename it") from error


def _as_found(
    path: Path, look: Callable[[Path, IngestConfig], Layout], config: IngestConfig
) -> SourceFile:
    """The file with its layout, or without one where a broken file is to be held back."""
    try:
        return SourceFile(path, look(path, config))
    except SourceError as error:
        if not config.hold_back:
            raise
        return SourceFile(path, UnknownLayout(str(error)))


def _on_given_scale(file: SourceFile, config: IngestConfig) -> SourceFile:
    """The file with the scale that the configuration states for its ratings."""
    layout = file.layout
    if config.scale and isinstance(layout, RatingsLayout | ParquetLayout):
        return SourceFile(file.path, replace(layout, scale=config.scale.value()))
    return file


def _named(source: str) -> list[Path]:
    """The files that a path or a glob names."""
    path = Path(source)
    if path.is_file():
        return [_called(path)]
    if has_magic(source):
        names = glob(source, recursive=True)  # noqa: PTH207 - a pattern may be absolute
        found = [_called(Path(name)) for name in names]
        files = [file for file in found if file.is_file()]
        if files:
            return files
        raise SourceError(f"{source}: no file has such a name")
    raise SourceError(f"{source}: no such file or folder")


def _called(path: Path) -> Path:
    """A file as it is called where it lies: a link's own name says what is in it."""
    return path.parent.resolve() / path.name


def _in_folder(folder: Path, config: IngestConfig) -> list[SourceFile]:
    """The files of a folder that are known by name, else every table in it."""
    paths = _listed(folder)
    if (folder / "training_set").is_dir():
        paths += _listed(folder / "training_set")
    found = [SourceFile(path, layout) for path in paths if (layout := _known_by_name(path))]
    has_ratings = any(file.layout.role is Role.RATINGS for file in found)
    if config.format in {"table", "ml-csv"} or not has_ratings:
        known = {file.path for file in found}
        others = [path for path in paths if path not in known]
        found += [_as_found(path, _table, config) for path in _tables(others)]
    if config.format != "auto":
        found = [
            file
            for file in found
            if file.layout.role is not Role.RATINGS
            or file.layout.format in {config.format, UnknownLayout.format}
        ]
    if not found:
        chosen = "" if config.format == "auto" else f" in the layout {config.format}"
        raise SourceError(f"{folder}: holds no file of ratings{chosen}; {_EXPECTED}")
    return found


def _listed(folder: Path) -> list[Path]:
    """The folder's files but for hidden ones, such as the `._*` that some archives bring."""
    try:
        with os.scandir(folder.resolve()) as entries:
            files = [entry for entry in entries if entry.is_file()]
            return [Path(file) for file in files if not file.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror or error}") from error


def _tables(paths: Iterable[Path]) -> list[Path]:
    """Tables called ratings, else every table that is not known to be something else."""
    tables = [path for path in paths if _plain_name(path).endswith(_TABLE_ENDS)]
    called = [path for path in tables if _matches(path, _TABLES)]
    return called or [path for path in tables if not _matches(path, _NOT_RATINGS)]


def _layout(path: Path, config: IngestConfig) -> Layout:
    """The layout of a file that was named: as given, as its name says, or as it looks."""
    by_name = _known_by_name(path)
    if by_name and (by_name.role is not Role.RATINGS or config.format == "auto"):
        return by_name
    if config.format in _GIVEN:
        return _GIVEN[config.format]
    if config.format == "ml-csv":
        return _with_names(path, config)
    if config.format == "table" or _plain_name(path).endswith(".parquet"):
        return _table(path, config)
    first = first_lines(path).decode("utf-8", errors="replace").partition("\n")[0]
    for look, layout in _LOOKS.items():
        if re.fullmatch(look, first):
            return layout
    return _table(path, config)


def _table(path: Path, config: IngestConfig) -> RatingsLayout | ParquetLayout:
    if _plain_name(path).endswith(".parquet"):
        return parquet_layout(path, config.columns)
    return csv_layout(path, config.columns, is_plain=config.format == "table")


def _with_names(path: Path, config: IngestConfig) -> Layout:
    """The layout of the later MovieLens ratings, whose first line must be names: it is no row."""
    layout = _table(path, config)
    if layout.format != movielens.RATINGS_CSV.format:
        raise SourceError(
            f"{path}: its first line is not {','.join(movielens.CSV_NAMES)}, as that of the layout "
            "ml-csv is; leave out ingest.format to have it read by its names"
        )
    return layout


def _known_by_name(path: Path) -> Layout | None:
    return next((layout for name, layout in _KNOWN.items() if _matches(path, [name])), None)


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(_plain_name(path), pattern) for pattern in patterns)


def _plain_name(path: Path) -> str:
    """In lower case, and without the ending of a packed file."""
    return path.name.lower().removesuffix(".gz")
