"""How a stage tells whoever runs it how far it has come."""

from typing import Protocol


class Progress(Protocol):
    """Called by a stage whenever it has done a measurable part of its work."""

    def __call__(self, what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Report that `done` of `total` units are done; `total` is None while unknown.

        `note` is what a person would want to know at this point.
        """


def silent(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
    """Report to nobody."""
    del what, done, total, unit, note
