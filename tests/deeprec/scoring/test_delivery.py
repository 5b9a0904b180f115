"""A run's inputs: whoever finds the plan finds all of them."""

from pathlib import Path

import pyarrow as pa
import pytest

from deeprec.errors import StoreError
from deeprec.places import LocalPlace
from deeprec.scoring.delivery import PLAN, deliver, fetch, fetch_vectors, withdraw

VECTORS = [pa.table({"user_id": [shard]}) for shard in range(3)]
FILES = {
    "movies.parquet",
    "vectors/00000.parquet",
    "vectors/00001.parquet",
    "vectors/00002.parquet",
}


@pytest.fixture
def delivered(tmp_path: Path) -> LocalPlace:
    (tmp_path / "movies").write_bytes(b"movies")
    place = LocalPlace(tmp_path / "place")
    place.prepare()
    put_there(place, tmp_path)
    return place


def put_there(place: LocalPlace, folder: Path) -> None:
    deliver(place, "{}", {"movies.parquet": folder / "movies"}, VECTORS.__getitem__, len(VECTORS))


def test_the_plan_comes_last_and_goes_first(
    delivered: LocalPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []

    def note(place: LocalPlace, name: str, content: bytes = b"") -> None:
        del place, content
        touched.append(name)

    monkeypatch.setattr(LocalPlace, "put", note)
    put_there(delivered, tmp_path)
    assert FILES == set(touched[:-2])
    assert ["inputs.json", PLAN] == touched[-2:]
    touched.clear()
    monkeypatch.setattr(LocalPlace, "remove", note)
    withdraw(delivered)
    assert (PLAN, "inputs.json") == (touched[0], touched[-1])
    assert FILES == set(touched[1:-1])


def test_what_was_delivered_is_fetched_and_then_gone(delivered: LocalPlace, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    fetch(delivered, here)
    assert b"movies" == (here / "movies.parquet").read_bytes()
    assert [VECTORS[2], VECTORS[0]] == [fetch_vectors(delivered, here, shard) for shard in (2, 0)]
    withdraw(delivered)
    withdraw(delivered)
    assert [] == [*delivered.names("vectors"), *(set(delivered.names()) - {"vectors"})]
    with pytest.raises(StoreError, match="is gone"):
        fetch_vectors(delivered, here, 1)


def test_an_input_that_was_harmed_is_refused(delivered: LocalPlace, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    delivered.put("vectors/00001.parquet", delivered.get("vectors/00002.parquet"))
    delivered.put("movies.parquet", b"others")
    with pytest.raises(StoreError, match=r"movies\.parquet: is not what was put there"):
        fetch(delivered, here)
    with pytest.raises(StoreError, match=r"00001\.parquet: is not what was put there"):
        fetch_vectors(delivered, here, 1)
