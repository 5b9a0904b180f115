"""Lists of (movie, user) pairs in the format of Netflix's `probe.txt`, read whole or refused.

What a pair is listed for, and whether it has a rating, is not known here.
"""

from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from deeprec.errors import SourceError
from deeprec.readers.chunks import read_chunks
from deeprec.readers.fields import clean, integer
from deeprec.readers.lines import blame, read_header
from deeprec.readers.rejections import Reason, printable

_CHUNK_BYTES = 16 * 2**20
_NUM_EXAMPLES = 3
_EXPECTED = "expected `MOVIE_ID:` lines, each followed by one user id a line"


@dataclass(frozen=True)
class PairList:
    """`user_id`, `movie_id` and `line_number` of every pair, in order; the file's digest."""

    pairs: pa.Table
    sha256: str


def read_pairs(path: Path) -> PairList:
    """The pairs that a file lists, as often as it lists them; blank lines are passed over.

    A list of which a line cannot be used is refused: what it holds out would be trained on.

    Raises:
        SourceError: the file cannot be read, a line of it cannot be used, or it lists no pair.
    """
    found = _Found()
    sha256 = ""
    for chunk in read_chunks({0: path}, _CHUNK_BYTES):
        first_line = chunk.spans[0].first_line if chunk.spans else 1
        for line_number, line in enumerate(chunk.data.split(b"\n")[: chunk.num_rows], first_line):
            found.add(line_number, line)
        for digest in chunk.ended:
            sha256 = digest.sha256
    if found.num_refused:
        shown = "\n".join(
            f"  {path}:{line_number}: {reason}: {printable(line)}"
            for line_number, reason, line in found.examples
        )
        raise SourceError(
            f"{path}: {found.num_refused:,} of its lines cannot be used, so what it holds out "
            f"cannot be told; {_EXPECTED}. Mend the file:\n{shown}"
        )
    if not found.user_ids:
        raise SourceError(f"{path}: lists no pair; {_EXPECTED}")
    return PairList(found.table(), sha256)


@dataclass
class _Found:
    """What has been found so far, and under which movie the next user stands."""

    user_ids: "array[int]" = field(default_factory=lambda: array("q"))
    movie_ids: "array[int]" = field(default_factory=lambda: array("q"))
    line_numbers: "array[int]" = field(default_factory=lambda: array("q"))
    movie_id: int | None = None
    num_refused: int = 0
    examples: list[tuple[int, Reason, bytes]] = field(default_factory=list)

    def add(self, line_number: int, line: bytes) -> None:
        """Take in one line."""
        text = line.decode("utf-8", errors="backslashreplace")
        if ":" in text:
            self.movie_id = read_header(text).movie_id
            if self.movie_id is None:
                self._refuse(line_number, line, Reason.NOT_A_NUMBER)
        elif text.strip():
            self._add_user(line_number, line, integer(clean(text)))

    def table(self) -> pa.Table:
        """The pairs as Arrow."""
        return pa.table(
            {
                "user_id": np.asarray(self.user_ids),
                "movie_id": np.asarray(self.movie_ids),
                "line_number": np.asarray(self.line_numbers),
            }
        )

    def _add_user(self, line_number: int, line: bytes, user_id: int | None) -> None:
        if user_id is None:
            self._refuse(line_number, line, Reason.NOT_A_NUMBER)
        elif self.movie_id is None:
            self._refuse(line_number, line, Reason.BEFORE_HEADER)
        else:
            self.user_ids.append(user_id)
            self.movie_ids.append(self.movie_id)
            self.line_numbers.append(line_number)

    def _refuse(self, line_number: int, line: bytes, reason: Reason) -> None:
        self.num_refused += 1
        if len(self.examples) < _NUM_EXAMPLES:
            self.examples.append((line_number, blame(line, reason), line))
