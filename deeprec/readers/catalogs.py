"""Movies and users from text, a line at a time: these files are small."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from deeprec.readers.batches import MOVIE_SCHEMA, USER_SCHEMA, Batch, Places
from deeprec.readers.chunks import Chunk, read_chunks
from deeprec.readers.layouts import CatalogLayout, Movie, Role, User
from deeprec.readers.rejections import Reason


def read_catalog(
    files: Mapping[int, Path], layout: CatalogLayout, chunk_bytes: int
) -> Iterator[Batch]:
    """The movies or users of some files of one layout, chunk by chunk.

    A line is UTF-8 where that is what its bytes are, else Latin-1, as these files were published.

    Raises:
        SourceError: a file cannot be read, or changes while it is.
    """
    for chunk in read_chunks(files, chunk_bytes):
        yield _read_chunk(chunk, layout)


def _read_chunk(chunk: Chunk, layout: CatalogLayout) -> Batch:
    places = Places(chunk)
    names = set(places.names_rows().tolist()) if layout.names_line else set()
    found: dict[int, Movie | User] = {}
    refused: dict[int, tuple[bytes, Reason]] = {}
    for row, line in enumerate(chunk.data.split(b"\n")[: chunk.num_rows]):
        if not line.strip():
            continue
        said = layout.read_line(_decode(line))
        if row in names and said is Reason.NOT_A_NUMBER:
            continue
        if isinstance(said, Reason):
            refused[row] = (line, said)
        else:
            found[row] = said
    return Batch(
        layout.role,
        _frame(found, places, MOVIE_SCHEMA if layout.role is Role.MOVIES else USER_SCHEMA),
        places.rejected(refused),
        chunk.ended,
        chunk.num_bytes,
    )


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _frame(found: Mapping[int, Movie | User], places: Places, schema: pl.Schema) -> pl.DataFrame:
    """The entries with their file and line."""
    rows = pl.Series(list(found), dtype=pl.Int64).to_numpy()
    file_ids, line_numbers = places.of(rows)
    names = [name for name in schema if name not in {"file_id", "line_number"}]
    columns = {name: [getattr(entry, name) for entry in found.values()] for name in names}
    return pl.DataFrame(
        {**columns, "file_id": file_ids, "line_number": line_numbers}, schema=schema
    )
