from collections.abc import Iterator
from threading import Event, current_thread

import pytest

from deeprec.ahead import ahead


def test_the_same_items_come_in_the_same_order() -> None:
    assert [] == list(ahead(iter(())))
    assert [None, 0, 1] == list(ahead(iter([None, 0, 1])))


def test_the_next_item_is_made_while_the_last_is_used() -> None:
    second_is_made = Event()

    def items() -> Iterator[str]:
        yield current_thread().name
        second_is_made.set()
        yield current_thread().name

    coming = ahead(items())
    first = next(coming)
    assert second_is_made.wait(10)
    assert current_thread().name != first == next(coming)


def test_an_error_comes_where_its_item_would() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    coming = ahead(items())
    assert 1 == next(coming)
    with pytest.raises(ValueError, match="the second"):
        next(coming)
