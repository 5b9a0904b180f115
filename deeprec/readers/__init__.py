"""From rating files as people have them to rows with a place: knows formats, not the warehouse."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers.batches import Batch
from deeprec.readers.catalogs import read_catalog
from deeprec.readers.delimited import read_ratings
from deeprec.readers.layouts import (
    MoviesLayout,
    ParquetLayout,
    SourceFile,
    UnknownLayout,
    UsersLayout,
)
from deeprec.readers.parquet import read_parquet


def read_files(
    files: Mapping[int, SourceFile], scale: RatingScale | None, chunk_bytes: int
) -> Iterator[Batch]:
    """The rows of some files, by file id, in order.

    Files of one layout that follow each other are read together, so that small ones share a chunk.

    Raises:
        SourceError: a file cannot be read, or changes while it is.
    """
    for layout, group in groupby(files.items(), key=lambda item: item[1].layout):
        paths = {file_id: file.path for file_id, file in group}
        if isinstance(layout, UnknownLayout):
            raise SourceError(layout.reason)
        if isinstance(layout, ParquetLayout):
            yield from read_parquet(paths, layout, scale)
        elif isinstance(layout, MoviesLayout | UsersLayout):
            yield from read_catalog(paths, layout, chunk_bytes)
        else:
            yield from read_ratings(paths, layout, scale, chunk_bytes)
