from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.readers.days import plain_days


def days_of(*texts: str | None) -> list[date | None]:
    days = plain_days(pl.Series("rated_at", texts, dtype=pl.String))
    assert ("rated_at", pl.Date()) == (days.name, days.dtype)
    return days.to_list()


def test_every_day_of_the_calendar() -> None:
    days = pl.date_range(date(1, 1, 1), date(9999, 12, 31), eager=True)
    assert plain_days(days.cast(pl.String)).to_list() == days.to_list()


@pytest.mark.parametrize(
    "text",
    [
        *("2005-02-29", "1900-02-29", "2005-04-31", "2005-01-32", "2005-01-00", "2005-01-99"),
        *("2005-00-01", "2005-13-01", "2005-19-01", "2005-20-01", "0000-01-01", "0000-12-31"),
        *("2005-9-06", "205-09-06", "2005-09-6", "2005-09-06 ", " 2005-09-06", "+205-01-02"),
        *("2005/09/06", "2005-09.06", "2005-0-906", "20050906", "", "-", "\0" * 10, "١٢٣٤٥"),
        *("2005-09-06\0", "2005-09-06T", "2005-09-06 and more than a view holds", "2005-09-06" * 9),
        *("éé05-09-06", "20é-09-06", "2005-é-06", "2005-09-é", "::05-09-06", "2005-:9-06"),
        *("200a-09-06", "2o05-09-06", "2005-a9-06", "2005-0a-06", "2005-09-a6", "2005-09-0a"),
    ],
)
def test_another_text_is_no_day_and_changes_no_other(text: str) -> None:
    assert [date(2004, 2, 29), None, date(2005, 9, 6)] == days_of("2004-02-29", text, "2005-09-06")


def test_part_of_a_column_is_read_alone() -> None:
    texts = pl.Series("rated_at", ["2004-02-29", None, "2005-09-06", "a text of some length"])
    assert [None, date(2005, 9, 6), None] == plain_days(texts[1:]).to_list()


def test_what_is_missing_stays_missing() -> None:
    assert [None, date(2005, 9, 6)] == days_of(None, "2005-09-06")
    assert [] == days_of()


@given(st.lists(st.text("0123456789-", min_size=8, max_size=11)))
def test_a_day_is_what_the_standard_library_takes_for_one(texts: list[str]) -> None:
    def expected(text: str) -> date | None:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return None
        return day if day.isoformat() == text else None

    assert [expected(text) for text in texts] == days_of(*texts)
