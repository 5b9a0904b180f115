from collections.abc import Iterator
from threading import Barrier, Event, current_thread
from time import sleep

import pytest

from deeprec.ahead import ahead, in_turn


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


def test_items_worked_out_at_once_come_in_their_order() -> None:
    both = Barrier(2, timeout=10)  # nobody passes alone

    def work_out(item: int) -> int:
        both.wait()
        return -item

    assert [0, -1, -2, -3] == list(in_turn(work_out, range(4), 2))
    assert [] == list(in_turn(work_out, (), 2))


def test_an_error_comes_where_what_it_belongs_to_would() -> None:
    coming = in_turn(lambda item: 1 // item, [1, 1, 0, 1], 2)
    assert [1, 1] == [next(coming), next(coming)]
    with pytest.raises(ZeroDivisionError):
        next(coming)


def test_an_error_in_the_items_is_not_lost() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    with pytest.raises(ValueError, match="the second"):
        list(in_turn(abs, items(), 2))


def test_stopping_early_waits_for_what_was_begun() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def work_out(item: int) -> int:
        begun.append(item)
        sleep(0.01)
        ended.append(item)
        return item

    for item in in_turn(work_out, range(100), 2):
        assert item == 0
        break
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 100
