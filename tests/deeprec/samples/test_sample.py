"""The synthetic data set: its bytes, its invariants, and that it has something to learn."""

from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprec.errors import SourceError
from deeprec.samples import sample, synthetic
from deeprec.samples.sample import Layout, SampleReport, write_sample
from deeprec.samples.synthetic import FIRST_DAY, LAST_DAY, Movies, draw_ratings, draw_users


def small_sample(folder: Path, *, seed: int = 0, layout: Layout = "netflix-folder") -> SampleReport:
    return write_sample(
        folder, num_users=60, num_movies=12, num_ratings=300, seed=seed, layout=layout
    )


def read_ratings(folder: Path) -> pl.DataFrame:
    """The ratings with their movie, read the plain way."""
    rows = []
    for path in sorted(folder.rglob("mv_*.txt")) or sorted(folder.glob("combined_data_*.txt")):
        movie_id = 0
        for line in path.read_text(encoding="ascii").splitlines():
            if line.endswith(":"):
                movie_id = int(line[:-1])
            else:
                user_id, rating, day = line.split(",")
                rows.append((int(user_id), movie_id, int(rating), date.fromisoformat(day)))
    return pl.DataFrame(rows, schema=["user_id", "movie_id", "rating", "rated_on"], orient="row")


def all_bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    small_sample(tmp_path / "one", seed=7)
    small_sample(tmp_path / "two", seed=7)
    small_sample(tmp_path / "other", seed=8)
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")
    assert all_bytes(tmp_path / "one") != all_bytes(tmp_path / "other")


def test_the_report_counts_what_is_in_the_files(tmp_path: Path) -> None:
    report = small_sample(tmp_path / "sample")
    ratings = read_ratings(tmp_path / "sample")
    assert report.num_ratings == 300 == ratings.height
    assert report.num_movies == 12 == ratings["movie_id"].n_unique()
    assert report.num_users == ratings["user_id"].n_unique()
    assert report.histogram == {star: (ratings["rating"] == star).sum() for star in range(1, 6)}


def test_both_layouts_hold_the_same_ratings(tmp_path: Path) -> None:
    small_sample(tmp_path / "folder", layout="netflix-folder")
    small_sample(tmp_path / "combined", layout="netflix-combined")
    assert read_ratings(tmp_path / "folder").equals(read_ratings(tmp_path / "combined"))


def test_a_user_rates_a_movie_once_after_its_release_and_within_the_period(tmp_path: Path) -> None:
    small_sample(tmp_path / "sample")
    ratings = read_ratings(tmp_path / "sample")
    titles = (tmp_path / "sample" / "movie_titles.txt").read_text(encoding="latin-1").splitlines()
    years = {int(movie_id): year for movie_id, year, _ in (line.split(",", 2) for line in titles)}
    assert not ratings.select("user_id", "movie_id").is_duplicated().any()
    assert ratings["rated_on"].is_between(FIRST_DAY, LAST_DAY).all()
    for movie_id, rated_on in ratings.select("movie_id", "rated_on").iter_rows():
        assert int(years[movie_id]) <= rated_on.year


@given(data=st.data())
@settings(max_examples=25)
def test_any_number_of_ratings_that_fits_is_met(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    num_users = data.draw(st.integers(1, 12))
    num_movies = data.draw(st.integers(1, 6))
    num_ratings = data.draw(st.integers(num_movies, num_users * num_movies))
    folder = tmp_path_factory.mktemp("any") / "sample"
    report = write_sample(
        folder, num_users=num_users, num_movies=num_movies, num_ratings=num_ratings
    )
    ratings = read_ratings(folder)
    assert num_ratings == report.num_ratings == ratings.height
    assert not ratings.select("user_id", "movie_id").is_duplicated().any()


def test_titles_have_netflix_traps_and_are_plainly_invented(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", num_users=50, num_movies=120, num_ratings=500)
    text = (tmp_path / "sample" / "movie_titles.txt").read_bytes().decode("latin-1")
    lines = [line.split(",", 2) for line in text.splitlines()]
    assert list(range(1, 121)) == [int(movie_id) for movie_id, _, _ in lines]
    assert [100] == [int(movie_id) for movie_id, year, _ in lines if year == "NULL"]
    assert all(title.startswith("Synthetic Film") for _, _, title in lines)
    assert any("," in title for _, _, title in lines)
    assert not text.isascii()
    assert "SYNTHETIC" in (tmp_path / "sample" / "README.txt").read_text(encoding="utf-8")


def test_what_an_interrupted_run_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".sample.building" / "training_set" / "mv_0000001.txt"
    left.parent.mkdir(parents=True)
    left.write_text("1:\n7,5,2001-01-01\n", encoding="ascii")
    small_sample(tmp_path / "sample")
    small_sample(tmp_path / "fresh")
    assert all_bytes(tmp_path / "fresh") == all_bytes(tmp_path / "sample")
    assert ["fresh", "sample"] == sorted(path.name for path in tmp_path.iterdir())


def test_an_interrupted_sample_is_not_there(tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        assert ("sample", 12, "movies", "") == (what, total, unit, note)
        assert 0 < done <= 12
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(
            tmp_path / "sample", num_users=60, num_movies=12, num_ratings=300, progress=interrupt
        )
    assert not (tmp_path / "sample").exists()


def test_batches_of_any_size_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_sample(tmp_path / "one batch")
    monkeypatch.setattr(sample, "_RATINGS_PER_BATCH", 30)
    small_sample(tmp_path / "several")
    monkeypatch.setattr(sample, "_RATINGS_PER_BATCH", 1)
    small_sample(tmp_path / "one a movie")
    assert all_bytes(tmp_path / "one batch") == all_bytes(tmp_path / "several")
    assert all_bytes(tmp_path / "one batch") == all_bytes(tmp_path / "one a movie")


def test_both_ways_of_drawing_raters_favour_the_eager_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Expected counts agree within five standard errors, for every one of thirty users."""
    users = draw_users(np.random.default_rng(1), 30)
    num_draws, num_raters = 4000, 8

    def counts(many: int) -> npt.NDArray[np.int64]:
        monkeypatch.setattr(synthetic, "_MANY", many)
        movies = Movies(
            np.full(1, num_raters), *(np.zeros((1, 8), np.float32),) * 2, np.full(1, 2000)
        )
        drawn = [
            draw_ratings(np.random.default_rng([many, i]), users, movies, 0).user_R
            for i in range(num_draws)
        ]
        assert all((np.diff(user_R) > 0).all() for user_R in drawn)
        return np.bincount(np.concatenate(drawn), minlength=30)

    clocks, passed_over = counts(many=10**6), counts(many=0)
    share = (clocks + passed_over) / (2 * num_draws)
    deviation = np.sqrt(2 * num_draws * share * (1 - share))
    assert (np.abs(clocks - passed_over) <= 5 * deviation + 1).all()
    assert clocks.argmax() == passed_over.argmax() == users.eagerness_U.argmax()


def test_the_tails_are_heavy_and_the_stars_are_spread_as_netflix_has_them(tmp_path: Path) -> None:
    """Netflix: median to mean 0.10 a movie and 0.46 a user, more in a denser and smaller sample."""
    report = write_sample(
        tmp_path / "sample", num_users=20_000, num_movies=600, num_ratings=400_000
    )
    ratings = read_ratings(tmp_path / "sample")
    for column, low, high in (("movie_id", 0.05, 0.25), ("user_id", 0.3, 0.75)):
        counts = ratings.group_by(column).len()["len"].to_numpy()
        assert low < np.median(counts) / counts.mean() < high, column
    netflix = {1: 0.046, 2: 0.101, 3: 0.287, 4: 0.336, 5: 0.231}
    for star, share in netflix.items():
        assert abs(report.histogram[star] / report.num_ratings - share) < 0.05, star


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="already exists"):
        small_sample(tmp_path)


@pytest.mark.parametrize("num_ratings", [11, 721])
def test_numbers_that_cannot_be_shared_out_are_refused(tmp_path: Path, num_ratings: int) -> None:
    with pytest.raises(SourceError, match="cannot be shared out"):
        write_sample(tmp_path / "sample", num_users=60, num_movies=12, num_ratings=num_ratings)


def test_there_is_more_to_learn_than_biases(tmp_path: Path) -> None:
    """Even biases fitted to the very ratings they are measured on stay far above the noise."""
    report = write_sample(tmp_path / "sample", num_users=500, num_movies=100, num_ratings=20_000)
    ratings = read_ratings(tmp_path / "sample").with_columns(left=pl.col("rating") * 1.0)
    for _ in range(10):
        for key in ("movie_id", "user_id"):
            ratings = ratings.with_columns(left=pl.col("left") - pl.col("left").mean().over(key))
    bias_rmse = (ratings["left"] ** 2).mean()
    assert isinstance(bias_rmse, float)
    assert report.attainable_rmse + 0.15 < bias_rmse**0.5
