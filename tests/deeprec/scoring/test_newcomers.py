import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from deeprec.errors import ConfigError, SourceError, WarehouseError
from deeprec.home import Home
from deeprec.models.bundles import Bundle, open_bundle
from deeprec.models.inference import MOVIE_CODES
from deeprec.models.learned_codes import CodeModel
from deeprec.models.prediction import Predictor, in_hundredths
from deeprec.ratings import RatingMatrix
from deeprec.scoring.newcomers import score_newcomers
from deeprec.scoring.people import read_everyone, read_people
from deeprec.warehouse.opening import read_warehouse

if TYPE_CHECKING:
    from tests.deeprec.conftest import Kinds

KINDS = ["network", "kernel", "kernel-codes", "user-kernel", "blend"]
OF_VECTORS = ["network", "user-kernel"]


def write_people(path: Path, people: Mapping[int, Mapping[int, float]]) -> str:
    rows = [
        f"{user},{movie},{rating}"
        for user, ratings in people.items()
        for movie, rating in ratings.items()
    ]
    path.write_text("\n".join(["user_id,movie_id,rating", *rows]) + "\n")
    return str(path)


def everyone_of(kinds: "Kinds", bundle: Bundle) -> RatingMatrix:
    with read_warehouse(kinds.home) as warehouse:
        return read_everyone(warehouse, bundle)


def ratings_of(everyone: RatingMatrix, row: int) -> dict[int, float]:
    values = everyone.values_UM[[row]]
    movie_ids = everyone.movie_ids_M[values.indices].tolist()
    return dict(zip(movie_ids, values.data.tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_unrated_movies_come_first_and_the_file_holds_all(
    kind: str, kinds: "Kinds", tmp_path: Path
) -> None:
    file = write_people(tmp_path / "people.csv", {5: {10: 5, 11: 1, 12: 4}, 6: {13: 2}})
    output = tmp_path / "out.parquet"
    report = score_newcomers(kinds.home, kinds.config(kind), sources=[file], output=output)
    predicted = pl.read_parquet(output)
    assert 2 * report.num_movies == predicted.height == predicted.n_unique(["user_id", "movie_id"])
    assert (2, 4, 0) == (report.num_users, report.num_ratings, report.num_users_by_bias)
    first = [row for row in report.recommendations if row.user_id == 5]
    assert [1, 2, 3, 4] == [row.rank for row in first]
    unrated = predicted.filter((pl.col("user_id") == 5) & ~pl.col("movie_id").is_in([10, 11, 12]))
    best = unrated["predicted_rating"].top_k(4).sort(descending=True).to_list()
    assert best == [row.predicted_rating for row in first]
    assert all(row.title == f"Picture {row.movie_id}" for row in first)


@pytest.mark.parametrize("kind", OF_VECTORS)
def test_a_new_person_gets_what_a_known_one_with_the_same_ratings_gets(
    kind: str, kinds: "Kinds", tmp_path: Path
) -> None:
    bundle = open_bundle(kinds.bundles[kind])
    everyone = everyone_of(kinds, bundle).restrict_movies(bundle.vocabulary.movie_ids_M)
    known = Predictor.over(bundle, bundle.model("cpu"), everyone)
    expected = [
        in_hundredths(scores.predicted_BM, bundle) for _, scores in known.batches(everyone, 9)
    ]
    people = {row: ratings_of(everyone, row) for row in range(1, everyone.num_users)}
    file = write_people(tmp_path / "people.csv", people)
    output = tmp_path / "out.parquet"
    score_newcomers(kinds.home, kinds.config(kind), sources=[file], output=output)
    found = pl.read_parquet(output).sort("user_id", "movie_id")["predicted_rating"].to_numpy()
    assert np.abs(np.concatenate(expected)[1:].ravel() / 100 - found).max() < 0.011


@pytest.mark.parametrize("num_ratings", [0, 1, 3, 12])
def test_a_new_persons_code_is_the_ridge_solution(num_ratings: int, kinds: "Kinds") -> None:
    bundle = open_bundle(kinds.bundles["kernel-codes"])
    model = bundle.model("cpu")
    assert isinstance(model, CodeModel)
    everyone = everyone_of(kinds, bundle).restrict_movies(bundle.vocabulary.movie_ids_M)
    side = model.movie_side(everyone)
    values = sparse.csr_array(
        (
            np.linspace(1, 5, num_ratings, dtype=np.float32),
            np.arange(num_ratings),
            [0, num_ratings],
        ),
        shape=(1, everyone.num_movies),
    )
    newcomer = RatingMatrix(everyone.user_ids_U[[3]], everyone.movie_ids_M, values)
    table = pq.read_table(bundle.path / "users.parquet")
    learned = np.array(table["code"].to_pylist())
    penalty = np.array([0.4] * 4 + [5.0, 1e9])  # l2, user_damping, and movies' biases as they are
    mean, seen = learned.mean(axis=0), side[MOVIE_CODES][:num_ratings]
    expected, *_ = np.linalg.lstsq(
        np.vstack([seen, np.diag(np.sqrt(penalty))]),
        np.concatenate([values.data, np.sqrt(penalty) * mean]),
    )
    found = model.user_codes(newcomer, side, counted=False)
    assert np.allclose(expected, found[0], atol=1e-4)
    assert np.allclose(
        side[MOVIE_CODES] @ expected, model.predict(newcomer, side, counted=False)[0], atol=1e-3
    )


def test_a_user_without_ratings_at_training_is_folded_in(kinds: "Kinds") -> None:
    bundle = open_bundle(kinds.bundles["kernel-codes"])
    model = bundle.model("cpu")
    assert isinstance(model, CodeModel)
    everyone = everyone_of(kinds, bundle).restrict_movies(bundle.vocabulary.movie_ids_M)
    assert 99 not in model.known.user_ids_T
    side = model.movie_side(everyone)
    loner = RatingMatrix(np.array([99]), everyone.movie_ids_M, everyone.values_UM[[5]])
    assert np.array_equal(
        model.predict(loner, side, counted=False), model.predict(loner, side, counted=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_someone_of_whom_no_movie_is_known_gets_the_movies_means(
    kind: str, kinds: "Kinds", tmp_path: Path
) -> None:
    file = write_people(tmp_path / "people.csv", {5: {7000: 5, 123456: 1}})
    output = tmp_path / "out.json"
    report = score_newcomers(kinds.home, kinds.config(kind), sources=[file], output=output)
    bundle = open_bundle(kinds.bundles[kind])
    means = np.clip(bundle.manifest.global_mean + bundle.vocabulary.bias_M, 1, 5)
    found = [row["predicted_rating"] for row in json.loads(output.read_text())]
    assert np.allclose(means, found, atol=0.0051)
    assert (1, 2, "7000, 123456") == (
        report.num_users_by_bias,
        report.num_unknown_ratings,
        report.unknown_movies,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_the_home_changes(kind: str, kinds: "Kinds", tmp_path: Path) -> None:
    def contents() -> dict[Path, bytes]:
        files = (path for path in kinds.home.path.rglob("*") if path.is_file())
        return {file: file.read_bytes() for file in files if file.suffix != ".lock"}

    before = contents()
    file = write_people(tmp_path / "people.csv", {1003: {10: 5}})
    score_newcomers(kinds.home, kinds.config(kind), sources=[file])
    assert before == contents()


def test_a_person_of_a_known_users_id_is_new(kinds: "Kinds", tmp_path: Path) -> None:
    config = kinds.config("blend")
    same = {10: 5.0, 14: 1.0}
    for name, user in (("known", 1003), ("unknown", 5)):
        file = write_people(tmp_path / "people.csv", {user: same})
        score_newcomers(kinds.home, config, sources=[file], output=tmp_path / f"{name}.parquet")
    known, unknown = (
        pl.read_parquet(tmp_path / f"{name}.parquet")["predicted_rating"]
        for name in ("known", "unknown")
    )
    assert known.to_list() == unknown.to_list()


def test_the_later_rating_counts(kinds: "Kinds", tmp_path: Path) -> None:
    bundle = open_bundle(kinds.bundles["network"])
    for name, rows in (
        ("a.csv", ["7,10,1,2005-03-01", "7,11,3,2005-01-01"]),
        ("b.csv", ["7,10,5,2005-02-01", "7,11,4,2005-01-01"]),
    ):
        (tmp_path / name).write_text("\n".join(["user_id,movie_id,rating,date", *rows]) + "\n")
    sources = [str(tmp_path / name) for name in ("b.csv", "a.csv")]
    people = read_people(sources, bundle, kinds.config("network").ingest)
    assert {10: 1.0, 11: 4.0} == ratings_of(people.ratings, 0)
    assert (4, 2) == (people.rows_read, people.rows_replaced)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "user_id,movie_id,rating\n5,10,6\n", r"p\.csv:2: off_scale: 5,10,6"),
        ("p.csv", "user_id,movie_id,rating\n5,10,3\n5,x,3\n", r"p\.csv:3: not_a_number: 5,x,3"),
        ("p.csv", "user_id,movie_id,rating\n", "holds no rating"),
        ("p.csv", "userId,movieId,rating,timestamp\n5,10,3,1\n", "the scale 0.5 to 5"),
        ("p.csv", "user,film,rating\n5,10,3\n", "no column movie_id"),
        ("movies.dat", "10::A (1999)::Drama\n", "no file of ratings"),
        ("absent.csv", None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_line(
    name: str, text: str | None, message: str, kinds: "Kinds", tmp_path: Path
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(SourceError, match=message):
        score_newcomers(kinds.home, kinds.config("network"), sources=[str(file)])


def test_rows_that_are_allowed_to_be_bad_are_counted(kinds: "Kinds", tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", {5: {10: 5, 11: 9}})
    config = kinds.config("network")
    ingest = config.ingest.model_copy(update={"max_rejected_fraction": 0.5})
    report = score_newcomers(
        kinds.home, config.model_copy(update={"ingest": ingest}), sources=[file]
    )
    assert (2, 1, 1) == (report.rows_read, report.rows_rejected, report.num_ratings)


def test_every_format_of_output_says_the_same(kinds: "Kinds", tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", {5: {10: 5}, 6: {11: 2}})
    for ending in ("csv", "parquet", "json"):
        output = tmp_path / f"out.{ending}"
        score_newcomers(kinds.home, kinds.config("network"), sources=[file], output=output)
    frames = [
        pl.read_csv(tmp_path / "out.csv"),
        pl.read_json(tmp_path / "out.json"),
        pl.read_parquet(tmp_path / "out.parquet"),
    ]
    assert ["user_id", "movie_id", "predicted_rating"] == frames[0].columns
    assert frames[0].rows() == frames[1].rows() == frames[2].rows()


@pytest.mark.parametrize("name", ["out.xlsx", "no/such/folder/out.csv"])
def test_an_output_that_cannot_be_written_is_refused_at_once(
    name: str, kinds: "Kinds", tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--output"):
        score_newcomers(
            kinds.home, kinds.config("network"), sources=["absent"], output=tmp_path / name
        )


@pytest.mark.parametrize("source", ["people.csv", "."])
def test_an_output_that_is_read_too_is_refused(
    source: str, kinds: "Kinds", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = Path(write_people(tmp_path / "people.csv", {5: {10: 5}})).read_bytes()
    with pytest.raises(ConfigError, match="is one of the files to read"):
        score_newcomers(
            kinds.home,
            kinds.config("network"),
            sources=[source],
            output=tmp_path / "people.csv",
        )
    assert before == (tmp_path / "people.csv").read_bytes()


def test_a_failed_run_leaves_no_output(kinds: "Kinds", tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", {5: {10: 6}})
    with pytest.raises(SourceError):
        score_newcomers(
            kinds.home, kinds.config("network"), sources=[file], output=tmp_path / "out.csv"
        )
    assert ["people.csv"] == [path.name for path in tmp_path.iterdir()]


def test_a_model_that_looks_at_movies_needs_the_warehouse(kinds: "Kinds", tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", {5: {10: 5}})
    with pytest.raises(WarehouseError, match="deeprec ingest"):
        score_newcomers(Home(tmp_path / "home"), kinds.config("kernel"), sources=[file])


NO_TORCH = """
import sys
sys.modules.update(torch=None, onnx=None, onnxscript=None, prefect=None)
from deeprec.cli import main
main()
"""


def deeprec(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NO_TORCH, *arguments], check=False, capture_output=True, text=True
    )


def test_a_copied_bundle_is_enough_and_torch_is_not_needed(kinds: "Kinds", tmp_path: Path) -> None:
    people = write_people(tmp_path / "people.csv", {5: {10: 5, 11: 1}})
    told = ["--ratings", people, "--top", "3", f"--set=score.bundle={kinds.bundles['network']}"]
    home = ["--home", str(tmp_path / "home")]
    scored = deeprec("score", *told, *home, "--json")
    assert 0 == scored.returncode, scored.stderr
    assert [1, 2, 3] == [row["rank"] for row in json.loads(scored.stdout)["recommendations"]]
    explained = deeprec("explain", "--user=5", "--movie=12", *told, *home)
    assert 0 == explained.returncode, explained.stderr
    assert "Picture 10" in explained.stdout
    assert not (tmp_path / "home").exists()


def test_output_without_ratings_is_a_sentence(tmp_path: Path) -> None:
    done = deeprec("score", "--output", "x.csv", "--home", str(tmp_path))
    assert 1 == done.returncode
    assert "--output goes with --ratings" in done.stderr
