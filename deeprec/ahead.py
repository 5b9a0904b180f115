"""Working out the next items of a sequence while the last one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, each made on a thread of its own; an error comes when its item is asked for.

    Whoever stops before the end waits for the one that is being made.
    """
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(_next, items)
        while item := coming.result():
            coming = maker.submit(_next, items)
            yield from item


def in_turn(
    work_out: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int
) -> Iterator[_Result]:
    """What each item comes to, in their order, some worked out at once on threads of their own.

    An error in working one out comes where it would, an error in the items as soon as it is met.
    Whoever stops before the end waits for those that were begun.
    """
    with ThreadPoolExecutor(at_once) as workers:
        coming = deque[Future[_Result]]()
        for item in items:
            coming.append(workers.submit(work_out, item))
            if len(coming) > at_once:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _next(items: Iterator[_Item]) -> list[_Item]:
    """The next item, and none after the last."""
    return list(islice(items, 1))
