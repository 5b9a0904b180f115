"""Working out the next item of a sequence while the last one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, each made on a thread of its own; an error comes when its item is asked for.

    Whoever stops before the end waits for the one that is being made.
    """
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(_next, items)
        while item := coming.result():
            coming = maker.submit(_next, items)
            yield from item


def _next(items: Iterator[_Item]) -> list[_Item]:
    """The next item, and none after the last."""
    return list(islice(items, 1))
