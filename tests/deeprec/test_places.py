"""Places: what may name one, and that a folder is one; stores have tests of their own."""

import os
import traceback
from pathlib import Path

import pytest

from deeprec.config.loading import load_config
from deeprec.errors import ConfigError, StoreError
from deeprec.places import LocalPlace, checked_location

SECRET = "made-up/SECRET+3f9c1b7e"  # noqa: S105 - nobody's


@pytest.mark.parametrize(
    ("given", "location"),
    [
        ("", ""),
        ("/mnt/shards/", "/mnt/shards"),
        ("file:///mnt/the%20shards", "/mnt/the shards"),
        ("s3://bucket/some/pre_fix/", "s3://bucket/some/pre_fix"),
        ("s3://bucket", "s3://bucket"),
    ],
)
def test_a_location_has_one_spelling(given: str, location: str) -> None:
    assert location == checked_location(given)
    told = load_config(None, ["score.shards=parquet", f"score.shards_at='{given}'"])
    assert location == told.score.shards_at


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("shards", "expected an absolute path, file:///PATH or s3://BUCKET/PREFIX"),
        ("gs://bucket/prefix", r"shards_at: .*expected an absolute path.*\(got 'gs://bucket/pre"),
        ("file://elsewhere/mnt", "expected an absolute path"),
        ("s3://", "expected s3://BUCKET/PREFIX of letters"),
        ("s3://bucket/../prefix*", "expected s3://BUCKET/PREFIX of letters"),
    ],
)
def test_what_is_no_place_is_refused(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(None, ["score.shards=parquet", f"score.shards_at='{given}'"])


@pytest.mark.parametrize(
    "given", [f"s3://user:{SECRET}@bucket/prefix", f"s3://bucket/prefix?secret={SECRET}"]
)
def test_a_url_with_a_secret_is_refused_and_never_repeated(given: str) -> None:
    with pytest.raises(ConfigError, match="credentials come from the environment") as refused:
        load_config(None, ["score.shards=parquet", f"score.shards_at='{given}'"])
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_place_is_of_shards_in_parquet() -> None:
    with pytest.raises(ConfigError, match='shards_at needs shards = "parquet"'):
        load_config(None, ["score.shards_at=/mnt/shards"])


def test_what_is_put_into_a_folder_is_got_from_it(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path / "place")
    place.prepare()
    place.put("one/two/three", b"3")
    place.put("one/two/three", b"4")
    assert (b"4", ["one"]) == (place.get("one/two/three"), place.names())
    assert ["three"] == place.within("one").names("two")
    place.remove("one/two/three")
    place.remove("one/two/three")
    assert [] == place.names("one/two")
    place.clear()
    with pytest.raises(FileNotFoundError):
        place.put("one/two/three", b"5")
    assert [] == list(tmp_path.iterdir())


def test_who_reads_while_another_is_put_reads_the_one_before(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path)
    place.put("ledger", b"the one before")
    with (tmp_path / "ledger").open("rb", buffering=0) as reader:
        place.put("ledger", b"another")
        assert b"the one before" == reader.read()
    assert b"another" == place.get("ledger")


def test_what_is_put_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int, bool]] = []

    def look(file: int) -> None:
        found = os.fstat(file)
        synced.append((found.st_ino, found.st_size, (tmp_path / "ledger").exists()))

    monkeypatch.setattr(os, "fsync", look)
    LocalPlace(tmp_path).put("ledger", b"12345")
    assert [((tmp_path / "ledger").stat().st_ino, 5, False)] == synced


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="place: cannot be made"):
        LocalPlace(tmp_path / "file" / "place").prepare()
