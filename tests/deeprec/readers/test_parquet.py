from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deeprec.config.ingestion import ColumnsConfig
from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers.parquet import read_parquet
from deeprec.readers.tables import parquet_layout

NOON = datetime(2005, 9, 6, 12, tzinfo=UTC)
MIDNIGHT = datetime(2005, 9, 6, tzinfo=UTC)


def read(
    table: pl.DataFrame, path: Path, scale: RatingScale | None = None
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    table.write_parquet(path)
    batches = list(read_parquet({3: path}, parquet_layout(path, ColumnsConfig()), scale))
    assert [path.stat().st_size] == [ended.size_bytes for b in batches for ended in b.ended]
    rows = pl.concat([batch.rows for batch in batches]).sort("line_number")
    return rows.rows(), pl.concat([batch.rejected for batch in batches]).rows()


def read_arrow(
    folder: Path, **columns: pa.Array
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The rows of a table of one row, of which some columns are given, and the rejected ones."""
    path = folder / "x.parquet"
    usual = {"user_id": [5], "movie_id": [2], "rating": [3.0]}
    pq.write_table(pa.table({**usual, **columns}), path)
    batches = list(read_parquet({3: path}, parquet_layout(path, ColumnsConfig()), None))
    rows = pl.concat([batch.rows for batch in batches])
    return rows.rows(), pl.concat([batch.rejected for batch in batches]).rows()


@pytest.mark.parametrize(
    ("dates", "moment"),
    [
        (pl.Series([NOON]), NOON),
        (pl.Series([NOON]).dt.convert_time_zone("Asia/Tokyo"), NOON),
        (pl.Series([date(2005, 9, 6)]), MIDNIGHT),
        (pl.Series(["2005-09-06"]), MIDNIGHT),
        (pl.Series(["2005-09-06T14:00:00+02:00"]), NOON),
        (pl.Series([int(NOON.timestamp())]), NOON),
        (pl.Series([int(NOON.timestamp())], dtype=pl.UInt64), NOON),
        (pl.Series([NOON.timestamp()]), NOON),
        (pl.Series([str(int(NOON.timestamp()))]), NOON),
        (pl.Series([20050906]), MIDNIGHT),
        (pl.Series([20050906.0]), MIDNIGHT),
        (pl.Series(["20050906"]), MIDNIGHT),
    ],
)
def test_dates_of_any_type_become_utc(dates: pl.Series, moment: datetime, tmp_path: Path) -> None:
    table = pl.DataFrame({"user": [1], "movie": [2], "rating": [3]}).with_columns(date=dates)
    rows, rejected = read(table, tmp_path / "x.parquet")
    assert ([(1, 2, 3.0, moment.replace(tzinfo=None), 3, 1)], []) == (rows, rejected)


@pytest.mark.parametrize(
    "ids", [pl.Series([5], dtype=pl.UInt8), pl.Series([5.0]), pl.Series(["5"]), pl.Series([" 5.0"])]
)
def test_ids_of_any_type_that_are_whole_numbers_are_read(ids: pl.Series, tmp_path: Path) -> None:
    table = pl.DataFrame({"movie": [2], "rating": [3]}).with_columns(user=ids)
    rows, rejected = read(table, tmp_path / "x.parquet")
    assert ([5], []) == ([row[0] for row in rows], rejected)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"user": None}, "missing_value"),
        ({"user": 1.5}, "not_a_number"),
        ({"user": 1e300}, "not_a_number"),
        ({"user": "me"}, "not_a_number"),
        ({"user": True}, "not_a_number"),
        ({"user": [1]}, "not_a_number"),
        ({"rating": None}, "missing_value"),
        ({"rating": float("nan")}, "not_a_number"),
        ({"rating": 5.5}, "off_scale"),
        ({"rating": 1e300}, "off_scale"),
        ({"date": None}, "unknown_date"),
        ({"date": 2**62}, "unknown_date"),
        ({"date": -1}, "unknown_date"),
        ({"date": "2005-02-30"}, "unknown_date"),
        ({"date": "+205-01-02"}, "unknown_date"),
        ({"date": "+20500-01-02"}, "unknown_date"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(
    changed: dict[str, object], reason: str, tmp_path: Path
) -> None:
    row = {"user": 1, "movie": 2, "rating": 3.0, "date": 978300760, **changed}
    table = pl.DataFrame({name: [value] for name, value in row.items()})
    rows, rejected = read(table, tmp_path / "x.parquet", RatingScale(1, 5))
    assert ([], [(3, 1, reason)]) == (rows, [(*row[:2], row[3]) for row in rejected])


FAR = 2**62  # of any unit: no year 1 to 9999


@pytest.mark.parametrize(
    "date",
    [
        pa.array([2**31 - 1], pa.int32()).view(pa.date32()),
        *[pa.array([FAR]).view(pa.timestamp(unit)) for unit in ("ms", "us")],
        pa.array([-FAR]).view(pa.timestamp("us")),
        pa.array([FAR]).view(pa.timestamp("us", "Asia/Tokyo")),
        pa.array([FAR]).view(pa.duration("ms")),
        pa.array([FAR]).view(pa.time64("us")),
        pa.array([20_050_906]).cast(pa.int32()).view(pa.date32()),
    ],
    ids=lambda date: str(date.type),
)
def test_a_moment_that_no_calendar_has_is_unknown(date: pa.Array, tmp_path: Path) -> None:
    rows, rejected = read_arrow(tmp_path, rated_at=date)
    assert ([], [(3, 1, "unknown_date")]) == (rows, [(*row[:2], row[3]) for row in rejected])


@pytest.mark.parametrize(
    "zone", ["Asia/Tokyo", "+02:00", "Nowhere/Land"], ids=["known", "offset", "unknown"]
)
def test_a_moment_is_utc_whatever_its_zone_is_called(zone: str, tmp_path: Path) -> None:
    moment = pa.array([int(NOON.timestamp())]).view(pa.timestamp("s", zone))
    rows, rejected = read_arrow(tmp_path, rated_at=moment)
    assert ([(5, 2, 3.0, NOON.replace(tzinfo=None), 3, 1)], []) == (rows, rejected)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (pa.array(["5"]).dictionary_encode(), (5, None)),
        (pa.array([Decimal(5)], pa.decimal256(40, 1)), (5, None)),
        (pa.array([b"5\xff"]).view(pa.string()), ("5\\xff", "not_a_number")),
        (pa.array([[Decimal(5)]], pa.list_(pa.decimal256(40, 1))), ("list<", "not_a_number")),
        (pa.array([FAR]).view(pa.timestamp("us")), (str(FAR), "not_a_number")),
        (pa.array([5]).view(pa.duration("s")), ("5", "not_a_number")),
        (pa.array([None], pa.list_(pa.int8())), ("", "missing_value")),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_an_id_of_a_type_that_polars_does_not_hold(
    user: pa.Array, expected: tuple[int | str, str | None], tmp_path: Path
) -> None:
    rows, rejected = read_arrow(tmp_path, user_id=user)
    said, reason = expected
    if reason is None:
        assert ([said], []) == ([row[0] for row in rows], rejected)
    else:
        assert ([], [reason]) == (rows, [row[3] for row in rejected])
        assert str(rejected[0][2]).startswith(str(said))


def test_text_of_any_type_is_read(tmp_path: Path) -> None:
    views = {name: pa.array(["7"], pa.string_view()) for name in ("user_id", "movie_id", "rating")}
    rows, rejected = read_arrow(tmp_path, **views)
    assert ([(7, 7, 7.0, None, 3, 1)], []) == (rows, rejected)


def test_ids_may_be_floats_that_are_whole(tmp_path: Path) -> None:
    ids = [7.0, -7.0, 2.0**53, 2.0**53 + 2, 1e16, 2.5, float("nan"), None]
    table = pl.DataFrame({"user": ids, "movie": [1] * 8, "rating": [3] * 8})
    rows, rejected = read(table, tmp_path / "x.parquet")
    assert [7, -7, 2**53, 2**53 + 2] == [row[0] for row in rows]
    assert ["not_a_number"] * 3 + ["missing_value"] == [row[3] for row in rejected]


def test_dates_may_be_texts_of_days_and_of_moments(tmp_path: Path) -> None:
    texts = ["2005-09-06", "2005-09-06 12:00:00", "2005-09-06T12:00:00.000Z", "2005-9-6", "noon"]
    table = pl.DataFrame({"user": [1] * 5, "movie": range(5), "rating": [3] * 5, "date": texts})
    rows, rejected = read(table, tmp_path / "x.parquet")
    days = [MIDNIGHT, NOON, NOON, MIDNIGHT]
    assert [moment.replace(tzinfo=None) for moment in days] == [row[3] for row in rows]
    assert ["unknown_date"] == [row[3] for row in rejected]


def test_the_first_date_says_what_a_number_is(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"user": [1, 1, 1], "movie": [2, 3, 4], "rating": [3] * 3, "date": [None, 20050906, 7]}
    )
    rows, rejected = read(table, tmp_path / "x.parquet")
    assert [MIDNIGHT.replace(tzinfo=None)] == [row[3] for row in rows]
    unknown = [(3, 1, "1,2,3,", "unknown_date"), (3, 3, "1,4,3,7", "unknown_date")]
    assert unknown == rejected


def test_a_date_that_is_no_number_says_nothing_of_the_others(tmp_path: Path) -> None:
    seconds = NOON.timestamp()
    table = pl.DataFrame(
        {"user": [1, 1], "movie": [2, 3], "rating": [3] * 2, "date": [float("nan"), seconds]}
    )
    rows, rejected = read(table, tmp_path / "x.parquet")
    assert [(1, 3, 3.0, NOON.replace(tzinfo=None), 3, 2)] == rows
    assert [(3, 1, "1,2,3,nan", "unknown_date")] == rejected


def test_a_table_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"user": range(9), "movie": range(9), "rating": [3] * 9}).write_parquet(path)
    layout = parquet_layout(path, ColumnsConfig())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        list(read_parquet({0: path}, layout, None))


def test_a_table_damaged_in_its_footer_loses_no_row_unsaid(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"user": [1, 2], "movie": [3, 4], "rating": [5, 5]})
    pq.write_table(table, path, store_schema=False)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :])
        try:
            batches = list(read_parquet({0: path}, parquet_layout(path, ColumnsConfig()), None))
        except SourceError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 - others are as they were
        else:
            assert 2 == sum(batch.rows.height + batch.rejected.height for batch in batches)
