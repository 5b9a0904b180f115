"""Bytes of text files in chunks of whole lines, digested as they are read; parses nothing.

Shape legend: R rows, the lines of a chunk.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from deeprec.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Ends = npt.NDArray[np.int64]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_LINE = 2**20  # bytes; a chunk may be smaller
_DIGEST_BLOCK = 2**20


@dataclass(frozen=True)
class FileDigest:
    """What a file was when it was read to its end."""

    file_id: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Span:
    """Consecutive lines of one file in a chunk: rows are the chunk's, 0-based; lines the file's."""

    file_id: int
    first_row: int
    first_line: int


@dataclass
class Chunk:
    """Whole lines, each with its end, of one file or of several small ones."""

    data: bytes = b""
    ends_R: Ends = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # of lines, in data
    num_bytes: int = 0  # of the files, packed as they are
    spans: list[Span] = field(default_factory=list)
    ended: list[FileDigest] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        """Lines."""
        return len(self.ends_R)

    def filled(self, pieces: Sequence[bytes], ends: Sequence[Ends]) -> "Chunk":
        """The same with this text; the ends are those in each piece."""
        starts = np.cumsum([0, *map(len, pieces)])
        ends_R = [ends_of_one + start for ends_of_one, start in zip(ends, starts[:-1], strict=True)]
        return replace(self, data=b"".join(pieces), ends_R=np.concatenate([self.ends_R, *ends_R]))


class HashedFile(io.RawIOBase):
    """A file that digests its bytes as they are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        self._before = os.fstat(self._file.fileno())
        self._sha256 = hashlib.sha256()
        self.num_bytes = 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """How many of the file's next bytes were put into the buffer; 0 at its end."""
        count = self._file.readinto(buffer)
        self._sha256.update(memoryview(buffer)[:count])
        self.num_bytes += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def finish(self, file_id: int) -> FileDigest:
        """What was read.

        Raises:
            SourceError: the file was written to meanwhile.
        """
        after = os.fstat(self._file.fileno())
        same = (after.st_size, after.st_mtime_ns) == (
            self._before.st_size,
            self._before.st_mtime_ns,
        )
        if not same or self.num_bytes != after.st_size:
            raise SourceError(
                f"{self.path}: changed while it was read; run this again once it is complete"
            )
        return FileDigest(file_id, self.num_bytes, self._sha256.hexdigest())


@contextmanager
def open_hashed(path: Path) -> Iterator[HashedFile]:
    """The file, with what the system says about it as a `SourceError`."""
    try:
        with HashedFile(path) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path}: a damaged or incomplete gzip file: {error}") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def digest_file(path: Path, file_id: int) -> FileDigest:
    """What the file is now.

    Raises:
        SourceError: it cannot be read.
    """
    with open_hashed(path) as file:
        while file.read(_DIGEST_BLOCK):
            pass
        return file.finish(file_id)


def read_chunks(files: Mapping[int, Path], chunk_bytes: int) -> Iterator[Chunk]:
    """The files' lines in order, as chunks of about `chunk_bytes`; `.gz` files unpacked.

    Small files share a chunk: a parse has a price of its own, and there may be 17,770 of them.

    Raises:
        SourceError: a file cannot be read or unpacked, changes meanwhile, or has a line longer
            than `LONGEST_LINE` and than a chunk.
    """
    chunk, pieces, ends, size, num_rows = Chunk(), list[bytes](), list[Ends](), 0, 0
    buffer = bytearray(chunk_bytes)  # one for all files: a new one would cost more than the reading
    for file_id, path in files.items():
        with open_hashed(path) as file:
            num_bytes = 0
            for first_line, block_ends, block in _blocks(_unpacked(file), path, buffer):
                if pieces and size + len(block) > chunk_bytes:
                    yield chunk.filled(pieces, ends)
                    chunk, pieces, ends, size, num_rows = Chunk(), [], [], 0, 0
                if not chunk.spans or chunk.spans[-1].file_id != file_id:
                    chunk.spans.append(Span(file_id, num_rows, first_line))
                chunk.num_bytes += file.num_bytes - num_bytes
                num_bytes = file.num_bytes
                pieces.append(block)
                ends.append(block_ends)
                size += len(block)
                num_rows += len(block_ends)
            chunk.ended.append(file.finish(file_id))
    yield chunk.filled(pieces, ends)


def first_lines(path: Path, num_bytes: int = 2**16) -> bytes:
    """The first bytes of a text file, unpacked, without a byte order mark.

    Raises:
        SourceError: it cannot be read or unpacked.
    """
    with open_hashed(path) as file:
        return _unpacked(file).read(num_bytes).removeprefix(BYTE_ORDER_MARK)


def _unpacked(file: HashedFile) -> io.BufferedIOBase:
    if file.path.suffix.lower() == ".gz":
        return gzip.GzipFile(fileobj=file, mode="rb")
    return cast("io.BufferedIOBase", file)


def _blocks(
    stream: io.BufferedIOBase, path: Path, buffer: bytearray
) -> Iterator[tuple[int, Ends, bytes]]:
    """Whole lines, with the number of the first and their ends; the last gets the end it lacks."""
    first_line, rest = 1, b""
    end = stream.readinto(buffer)
    start = len(BYTE_ORDER_MARK) if buffer.startswith(BYTE_ORDER_MARK, 0, end) else 0
    while end:
        piece = memoryview(buffer)[start:end]
        size = buffer.rfind(b"\n", start, end) + 1 - start
        if size > 0:
            block = b"".join([rest, piece[:size]])
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            yield first_line, ends, block
            first_line, rest, piece = first_line + len(ends), b"", piece[size:]
        rest += piece
        if len(rest) > max(len(buffer), LONGEST_LINE):
            raise SourceError(
                f"{path}:{first_line}: a line of more than {len(rest) - 1:,} bytes; "
                "expected a text file of one rating a line"
            )
        start, end = 0, stream.readinto(buffer)
    if rest:
        yield first_line, np.array([len(rest)]), rest + b"\n"
