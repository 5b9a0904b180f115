"""Whether a split gives the counts that its protocol was published with; counts nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from deeprec.config.evaluation import ProtocolConfig
from deeprec.splits import Part


@dataclass(frozen=True)
class Counts:
    """Ratings of some parts, and the users and movies that have any of them."""

    ratings: int = 0
    users: int = 0
    movies: int = 0


class Comparison(BaseModel):
    """One published count beside the one found."""

    model_config = ConfigDict(frozen=True)

    part: str
    what: str
    published: int
    found: int
    agrees: bool

    def __str__(self) -> str:
        return f"{self.part} {self.what} {self.found:,}, published {self.published:,}"


def sides(protocol: ProtocolConfig) -> dict[str, frozenset[Part]]:
    """The parts that a publication counts as its training and as its held-out ratings."""
    train, held_out = {Part.TRAIN}, {Part.TEST}
    (train if protocol.dev_from == "train" else held_out).add(Part.DEV)
    return {"train": frozenset(train), "held out": frozenset(held_out)}


def compare(
    protocol: ProtocolConfig, found: Mapping[frozenset[Part], Counts]
) -> tuple[Comparison, ...]:
    """Every count that the protocol was published with, beside that of the same parts here.

    Args:
        protocol: with any number of published counts, or none.
        found: counts of sets of parts; a set that is not there has no rating.
    """
    published = {"train": protocol.train, "held out": protocol.held_out}
    rows = []
    for side, parts in sides(protocol).items():
        here = found.get(parts, Counts())
        for what, count in published[side]:
            if count is not None:
                number = getattr(here, what)
                rows.append(
                    Comparison(
                        part=side, what=what, published=count, found=number, agrees=count == number
                    )
                )
    return tuple(rows)
