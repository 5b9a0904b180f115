import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from deeprec.config.models import KernelRidgeConfig
from deeprec.errors import UnknownIdError
from deeprec.models.bundles import Bundle, open_bundle
from deeprec.models.prediction import Predictor
from deeprec.ratings import RatingMatrix
from deeprec.scoring.explaining import ExplainReport, explain
from deeprec.scoring.leave_one_out import leave_one_out, predict_one
from deeprec.scoring.people import newcomers_predictor, read_everyone
from deeprec.warehouse.opening import read_warehouse

if TYPE_CHECKING:
    from tests.deeprec.conftest import Kinds

KINDS = ["network", "kernel", "kernel-codes", "user-kernel", "blend"]
OF_VECTORS = ["network", "user-kernel"]
USER, MOVIE = 1007, 12
NEVER_TRAINED = 7000
RATED = {10: 5.0, 11: 1.0, 13: 4.0, 17: 2.0, 20: 3.0, 22: 5.0, 25: 1.0}
Doubles = npt.NDArray[np.float64]


@pytest.fixture
def people(tmp_path: Path) -> str:
    rows = [f"5,{movie},{rating}" for movie, rating in RATED.items()]
    file = tmp_path / "people.csv"
    file.write_text("\n".join(["user_id,movie_id,rating", *rows, "6,13,4", "6,7000,4"]) + "\n")
    return str(file)


def everyone_of(kinds: "Kinds", kind: str) -> tuple[Bundle, RatingMatrix]:
    bundle = open_bundle(kinds.bundles[kind])
    with read_warehouse(kinds.home) as warehouse:
        return bundle, read_everyone(warehouse, bundle)


def vector(bundle: Bundle, ratings: dict[int, float]) -> RatingMatrix:
    movie_ids_M = bundle.vocabulary.movie_ids_M
    columns = np.searchsorted(movie_ids_M, list(ratings))
    values_1M = sparse.csr_array(
        (np.array(list(ratings.values()), np.float32), columns, [0, len(columns)]),
        shape=(1, len(movie_ids_M)),
    )
    return RatingMatrix(np.array([5]), movie_ids_M, values_1M)


def effects_of(report: ExplainReport) -> dict[int, float]:
    return {row.movie_id: row.effect for row in report.effects}


def all_of(
    kinds: "Kinds", kind: str, sources: tuple[str, ...] = (), user: int = USER
) -> ExplainReport:
    config = kinds.config(kind)
    shown = config.score.model_copy(update={"top_n": 100})
    return explain(
        kinds.home,
        config.model_copy(update={"score": shown}),
        user_id=user,
        movie_id=MOVIE,
        sources=sources,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_effect_is_what_leaving_the_rating_out_takes(
    kind: str, kinds: "Kinds", people: str
) -> None:
    bundle = open_bundle(kinds.bundles[kind])
    predictor = newcomers_predictor(kinds.home, bundle, kinds.config(kind))
    column = int(np.searchsorted(bundle.vocabulary.movie_ids_M, MOVIE))

    def predicted(ratings: dict[int, float]) -> float:
        return predict_one(predictor, vector(bundle, ratings), column)

    whole = predicted(RATED)
    expected = {
        left_out: whole - predicted({m: r for m, r in RATED.items() if m != left_out})
        for left_out in RATED
    }
    report = all_of(kinds, kind, (people,), user=5)
    assert expected == pytest.approx(effects_of(report), abs=1e-5)
    sizes = [abs(row.effect) for row in report.effects]
    assert sorted(sizes, reverse=True) == sizes
    assert {m: (f"Picture {m}", r) for m, r in RATED.items()} == {
        row.movie_id: (row.title, row.rating) for row in report.effects
    }
    assert whole == pytest.approx(report.before_clip, abs=1e-5)
    assert report.as_new == report.before_clip


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_known_users_prediction_add_up(kind: str, kinds: "Kinds") -> None:
    bundle, everyone = everyone_of(kinds, kind)
    report = all_of(kinds, kind)
    parts = report.without_ratings + sum(effects_of(report).values()) + report.remainder
    assert report.before_clip == pytest.approx(parts, abs=1e-9)
    row = int(np.searchsorted(everyone.user_ids_U, USER))
    column = int(np.searchsorted(everyone.movie_ids_M, MOVIE))
    published = Predictor.over(bundle, bundle.model("cpu"), everyone)
    user = everyone.select_rows(slice(row, row + 1))
    assert predict_one(published, user, column) == pytest.approx(report.before_clip, abs=1e-5)
    assert np.clip(report.before_clip, 1, 5) == pytest.approx(report.predicted_rating)
    mean_rating = bundle.manifest.global_mean + bundle.vocabulary.bias_M[column]
    assert mean_rating == pytest.approx(report.without_ratings, abs=1e-6)
    assert user.num_ratings == report.num_ratings == len(report.effects)
    assert (kind in OF_VECTORS) == ("as_new" not in report.note)
    assert kind not in OF_VECTORS or report.as_new == report.before_clip


@pytest.mark.parametrize("kind", KINDS)
def test_one_rating_leaves_no_remainder(kind: str, kinds: "Kinds", people: str) -> None:
    report = all_of(kinds, kind, (people,), user=6)
    assert [13] == list(effects_of(report))
    assert (2, 1) == (report.num_ratings, report.num_unknown_ratings)
    assert 0 == pytest.approx(report.remainder, abs=1e-6)


def by_hand(bundle: Bundle, others: RatingMatrix, ratings: dict[int, float]) -> Doubles:
    """M: kernel ridge regression for someone new, dense and in double precision."""
    config, biases = bundle.config.model, bundle.biases
    assert isinstance(config, KernelRidgeConfig)
    floor_M = biases.global_mean + biases.movie_bias_M.astype(np.float64)
    is_rated_UM = np.zeros(others.values_UM.shape)
    cells = others.values_UM.tocoo()
    is_rated_UM[cells.row, cells.col] = 1
    left_UM = (others.values_UM.toarray() - floor_M) * is_rated_UM
    user_bias_U = left_UM.sum(axis=1) / (is_rated_UM.sum(axis=1) + biases.user_damping)
    left_UM = (left_UM - user_bias_U[:, None]) * is_rated_UM
    scale_M = np.maximum(is_rated_UM.sum(axis=0), 1) ** -config.count_power
    kernel_MM = left_UM.T @ left_UM + config.rated_weight**2 * (is_rated_UM.T @ is_rated_UM)
    kernel_MM *= np.outer(scale_M, scale_M)
    columns = np.searchsorted(others.movie_ids_M, list(ratings))
    left_R = np.array(list(ratings.values())) - floor_M[columns]
    user_bias = left_R.sum() / (len(left_R) + biases.user_damping)
    gram_RR = kernel_MM[np.ix_(columns, columns)] + config.ridge * np.eye(len(columns))
    dual_R = np.linalg.solve(gram_RR, left_R - user_bias)
    predicted_M: Doubles = floor_M + user_bias + kernel_MM[:, columns] @ dual_R
    return predicted_M


def test_a_kernels_effects_are_those_over_everybody_else(kinds: "Kinds") -> None:
    bundle, everyone = everyone_of(kinds, "kernel")
    known = everyone.restrict_movies(bundle.vocabulary.movie_ids_M)
    is_user = known.user_ids_U == USER
    others, user = known.select_users(~is_user), known.select_users(is_user).values_UM
    rated = dict(zip(known.movie_ids_M[user.indices].tolist(), user.data.tolist(), strict=True))
    column = int(np.searchsorted(known.movie_ids_M, MOVIE))
    whole = by_hand(bundle, others, rated)[column]
    expected = {
        left_out: whole
        - by_hand(bundle, others, {m: r for m, r in rated.items() if m != left_out})[column]
        for left_out in rated
    }
    report = all_of(kinds, "kernel")
    assert expected == pytest.approx(effects_of(report), abs=1e-3)
    assert whole == pytest.approx(report.as_new, abs=1e-3)


def test_a_newcomers_kernel_is_over_everybody(kinds: "Kinds", people: str) -> None:
    bundle, everyone = everyone_of(kinds, "kernel")
    known = everyone.restrict_movies(bundle.vocabulary.movie_ids_M)
    column = int(np.searchsorted(known.movie_ids_M, MOVIE))
    report = all_of(kinds, "kernel", (people,), user=5)
    assert by_hand(bundle, known, RATED)[column] == pytest.approx(report.before_clip, abs=1e-3)


def test_a_counted_users_ratings_cannot_be_left_out(kinds: "Kinds") -> None:
    bundle, everyone = everyone_of(kinds, "kernel")
    counted = Predictor.over(bundle, bundle.model("cpu"), everyone)
    with pytest.raises(AssertionError, match="counted"):
        leave_one_out(counted, everyone.select_rows(slice(1, 2)), 0, 8)


def test_only_the_largest_are_shown_but_all_are_summed(kinds: "Kinds", people: str) -> None:
    whole = all_of(kinds, "blend", (people,), user=5)
    few = explain(kinds.home, kinds.config("blend"), user_id=5, movie_id=MOVIE, sources=[people])
    assert whole.effects[:4] == few.effects
    assert whole.sum_of_effects == few.sum_of_effects


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_without_ratings_has_the_movies_mean(kind: str, kinds: "Kinds") -> None:
    report = all_of(kinds, kind, user=99)
    assert () == report.effects
    assert report.without_ratings == report.before_clip
    assert (0, 0) == (report.sum_of_effects, report.remainder)


def test_a_movie_that_the_model_does_not_know_is_moved_by_the_users_bias(kinds: "Kinds") -> None:
    bundle, everyone = everyone_of(kinds, "network")
    report = explain(kinds.home, kinds.config("network"), user_id=USER, movie_id=NEVER_TRAINED)
    known = everyone.restrict_movies(bundle.vocabulary.movie_ids_M)
    bias = bundle.biases.user_bias_U(known.select_users(known.user_ids_U == USER).values_UM)
    assert bundle.manifest.global_mean + bias[0] == pytest.approx(report.before_clip, abs=1e-6)
    assert bundle.manifest.global_mean == pytest.approx(report.without_ratings, abs=1e-6)


@pytest.mark.parametrize(
    ("user", "movie", "from_file", "message"),
    [
        (3, MOVIE, False, "user 3 is not in the warehouse, which has 41 users .* 99 to 1039"),
        (USER, 3, False, "movie 3 is not in the warehouse, which has 26 movies .* 10 to 7001"),
        (7, MOVIE, True, "user 7 is not in the files, which has 2 users with ids from 5 to 6"),
        (5, 7000, True, "movie 7000 is not in the model's vocabulary"),
    ],
)
def test_an_id_that_is_not_there_is_named_with_those_that_are(
    *, user: int, movie: int, from_file: bool, message: str, kinds: "Kinds", people: str
) -> None:
    with pytest.raises(UnknownIdError, match=message):
        explain(
            kinds.home,
            kinds.config("network"),
            user_id=user,
            movie_id=movie,
            sources=[people] if from_file else [],
        )


NO_TORCH = """
import sys
sys.modules.update(torch=None, onnx=None, onnxscript=None, prefect=None)
from deeprec.cli import main
main()
"""


def test_a_blend_is_explained_without_torch(kinds: "Kinds") -> None:
    asked = ["explain", "--user", str(USER), "--movie", str(MOVIE), "--top", "3"]
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, *asked, "--home", str(kinds.home.path)],
        check=True,
        capture_output=True,
        text=True,
        env={"COLUMNS": "120"},
    )
    assert str(USER) in done.stdout.split()
    assert "1,007" not in done.stdout
    assert "sum of effects" in done.stdout
