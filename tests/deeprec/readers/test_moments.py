from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.readers.fields import iso_moment
from deeprec.readers.moments import plain_moments

MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1))  # noqa: DTZ001 - the zone is told apart
PRECISIONS = st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"])
ALMOST = r"[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-9]{2}:[0-9]{2}[-0-9.:+Z]{0,10}"


def moments_of(*texts: str | None) -> list[int | None]:
    moments = plain_moments(pl.Series("rated_at", texts, dtype=pl.String))
    assert ("rated_at", pl.Datetime("us")) == (moments.name, moments.dtype)
    return moments.to_physical().to_list()


@pytest.mark.parametrize("zone", ["", "Z", "+00", "+0000", "+00:00"])
@pytest.mark.parametrize("fraction", ["", ".5", ".007", ".123456", ".999999999"])
@pytest.mark.parametrize("moment", ["2005-09-06 12:30:59", "1969-12-31T23:59:59"])
def test_what_databases_and_frames_write_is_read(moment: str, fraction: str, zone: str) -> None:
    text = moment + fraction + zone
    expected = iso_moment(text)
    assert expected is not None
    assert [expected, None] == moments_of(text, None)


@given(MOMENTS, PRECISIONS)
def test_every_moment_is_read(moment: datetime, precision: str) -> None:
    text = moment.replace(tzinfo=UTC).isoformat(timespec=precision)
    assert [iso_moment(text)] == moments_of(text)


@given(st.lists(st.from_regex(ALMOST, fullmatch=True)))
def test_what_is_read_is_what_an_exact_look_finds(texts: list[str]) -> None:
    for text, found in zip(texts, moments_of(*texts), strict=True):
        assert found in (None, iso_moment(text))
