"""Predictions as products of codes: the same as the graph's, in Python and in SQL."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from scipy import sparse

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import BundleError, ExportError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.factored import FactoredPredictor, scorer_of
from deeprec.models.last_layer import activate
from deeprec.models.prediction import Predictor
from deeprec.ratings import Floats, RatingMatrix, RatingScale
from deeprec.scoring.score import score
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize, movie_ids, rating_matrix, read_users
from deeprec.warehouse.opening import open_warehouse

if TYPE_CHECKING:
    from tests.deeprec.conftest import Kinds

LONER, UNRATED = 99, (7000, 7001)
FACTORED = ["score.storage=factored", "score.device=cpu", "score.top_n=4", "score.batch_size=7"]
CENTRED = [
    "model={hidden_layers=[6, 4], output_activation='identity', center='biases', has_rated=true}",
    "train.num_epochs=2",
    "train.device=cpu",
    "split.dev_fraction=0.2",
]


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module", params=["network", "kernel-codes", "centred"])
def _bundle(
    request: pytest.FixtureRequest, kinds: "Kinds", tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """One whose predictions are products: SELU, of movies' vectors, centred."""
    if request.param in kinds.bundles:
        return kinds.bundles[request.param]
    home = Home(shutil.copytree(kinds.home.path, tmp_path_factory.mktemp("centred") / "home"))
    return train(home, load_config(None, CENTRED)).bundle


@pytest.fixture
def factored(_bundle: Path, kinds: "Kinds", tmp_path: Path) -> tuple[Home, Path]:
    """A home, and a bundle to score it with."""
    return Home(shutil.copytree(kinds.home.path, tmp_path / "home")), _bundle


def told(bundle: Path, storage: str) -> Config:
    return load_config(None, [*FACTORED, f"score.bundle={bundle}", f"score.storage={storage}"])


def predictor_of(home: Home, path: Path) -> tuple[Predictor, RatingMatrix]:
    """A bundle's over the movies of a home, and everybody there."""
    with open_warehouse(home) as warehouse:
        everyone = rating_matrix(read_users(warehouse, 0, 10**6), movie_ids(warehouse))
    bundle = open_bundle(path)
    return Predictor.over(bundle, bundle.model("cpu"), everyone), everyone


def test_a_product_is_what_the_graph_predicts(
    factored: tuple[Home, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of users and movies that the model knows, and of those for whom the biases answer."""
    predictor, everyone = predictor_of(*factored)
    products = FactoredPredictor.of(predictor)
    assert {LONER} < set(everyone.user_ids_U.tolist())
    assert set(UNRATED) < set(everyone.movie_ids_M.tolist())
    for rows, scores in predictor.batches(everyone, 9):
        product_BN = products.products(products.user_codes(everyone.select_rows(rows)))
        found_BN = activate(product_BN, products.factors.activation)
        np.testing.assert_allclose(found_BN, scores.unclipped_BM, rtol=0, atol=1e-5)
    monkeypatch.setattr("deeprec.models.factored._CODES_AT_ONCE", 18)  # so that it takes several
    scorers = predictor, scorer_of(predictor)
    pairs = list(zip(*(way.unclipped_batches(everyone, 9) for way in scorers), strict=True))
    assert everyone.num_users > 18
    assert everyone.num_users == pairs[-1][0][0].stop
    for (rows, unclipped_BN), (rows_of_products, found_BN) in pairs:
        assert rows == rows_of_products
        np.testing.assert_allclose(found_BN, unclipped_BN, rtol=0, atol=1e-5)


def test_single_cells_are_those_of_all(
    factored: tuple[Home, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they are stored; users without any are among them."""
    predictor, everyone = predictor_of(*factored)
    ((_, unclipped_UN),) = predictor.unclipped_batches(everyone, everyone.num_users)
    is_wanted_UN = np.random.default_rng(0).random(unclipped_UN.shape) < 0.05
    wanted = sparse.csr_array(is_wanted_UN.astype(np.float32))
    assert 0 in np.diff(wanted.indptr)
    monkeypatch.setattr("deeprec.models.factored._CODES_AT_ONCE", 18)  # so that it takes several
    monkeypatch.setattr("deeprec.models.factored._CELLS_AT_ONCE", 5)
    for scorer in (predictor, scorer_of(predictor)):
        found_R = np.concatenate(list(scorer.unclipped_cells(everyone, wanted, 9)))
        np.testing.assert_allclose(found_R, unclipped_UN[is_wanted_UN], rtol=0, atol=1e-5)


def test_what_is_no_product_is_scored_by_its_graph(kinds: "Kinds") -> None:
    predictor, _ = predictor_of(kinds.home, kinds.bundles["user-kernel"])
    assert predictor is scorer_of(predictor)


def test_ratings_that_no_product_comes_to_are_scored_by_the_graph(kinds: "Kinds") -> None:
    predictor, _ = predictor_of(kinds.home, kinds.bundles["network"])
    assert predictor is not scorer_of(predictor)
    scale = {"scale": RatingScale(-2, 5, 1)}  # the least that SELU gives is -1.76
    bundle = replace(predictor.bundle, manifest=predictor.bundle.manifest.model_copy(update=scale))
    below = replace(predictor, bundle=bundle)
    assert below is scorer_of(below)


def test_codes_that_the_graph_does_not_agree_with_are_not_sealed(
    kinds: "Kinds", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = np.save

    def spoil(path: Path, weight_MC: Floats) -> None:
        save(path, weight_MC * 1.01)

    monkeypatch.setattr(np, "save", spoil)  # no input makes the weights differ from the graph's
    home = Home(shutil.copytree(kinds.home.path, tmp_path / "home"))
    before = sorted(home.models.iterdir())
    with pytest.raises(ExportError, match="differ by"):
        train(home, load_config(None, CENTRED))
    assert before == sorted(home.models.iterdir())


def test_the_view_holds_what_the_table_would(factored: tuple[Home, Path]) -> None:
    home, bundle = factored
    dense = score(home, told(bundle, "dense"))
    kept = Path(shutil.copy(dense.path, home.path / "dense.duckdb"))
    report = score(home, told(bundle, "factored"))
    assert dense.num_predictions == report.num_predictions > 0
    everything = "select * from {} order by all"
    expected = query(kept, everything.format("predicted_ratings"))
    found = query(report.path, everything.format("predicted_ratings"))
    assert [row[:2] for row in expected] == [row[:2] for row in found]
    differences = [abs(one[2] - other[2]) for one, other in zip(expected, found, strict=True)]
    assert max(differences) <= 0.01  # a half may be rounded up here and down there
    assert 0.95 < differences.count(0) / len(differences)
    for table in ("movies", "users"):
        sql = everything.format(table)
        assert query(kept, sql) == query(report.path, sql)
    best = "select user_id, rank, predicted_rating from recommendations order by all"
    for one, other in zip(query(kept, best), query(report.path, best), strict=True):
        assert one[:2] == other[:2]
        assert abs(one[2] - other[2]) <= 0.01
    assert [("movie_codes",), ("user_codes",)] == query(
        report.path,
        "select table_name from duckdb_tables() where table_name like '%codes' order by 1",
    )


def test_on_a_scale_of_another_width_the_view_holds_what_the_table_would(tmp_path: Path) -> None:
    ratings = [
        f"{user},{movie},{20 + 20 * ((user * movie + user) % 5)}"
        for user in range(20)
        for movie in range(12)
        if (user + movie) % 3
    ]
    source = tmp_path / "ratings.csv"
    source.write_text("\n".join(["user_id,movie_id,rating", *ratings, "99,7000,20"]) + "\n")
    config = load_config(
        None,
        [
            "model.hidden_layers=[6, 4]",  # which ends in SELU
            "train.num_epochs=2",
            "train.device=cpu",
            "ingest.scale={minimum=-40, maximum=100}",  # lower than a SELU reaches in stars
            "split.test_fraction=0.3",
        ],
    )
    home = Home(tmp_path / "home")
    ingest(home, [str(source)], config)
    materialize(home, config)
    bundle = train(home, config).bundle
    dense = score(home, told(bundle, "dense"))
    kept = Path(shutil.copy(dense.path, tmp_path / "dense.duckdb"))
    factored = score(home, told(bundle, "factored"))
    for table in ("predicted_ratings", "recommendations"):
        sql = f"select user_id, movie_id, predicted_rating::double from {table} order by 1, 2"
        expected, found = np.array(query(kept, sql)), np.array(query(factored.path, sql))
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.0101)
    assert [(35.0,)] == query(factored.path, "select unit from prediction_scale")


def test_a_recommendation_is_rated_as_the_view_rates_it(factored: tuple[Home, Path]) -> None:
    home, bundle = factored
    report = score(home, told(bundle, "factored"))
    ((num_rows, largest),) = query(
        report.path,
        "select count(*), max(abs(r.predicted_rating - p.predicted_rating)) "
        "from recommendations r join predicted_ratings p using (user_id, movie_id)",
    )
    assert (report.num_recommendations, True) == (num_rows, largest <= 0.01)


@pytest.mark.parametrize("kind", ["kernel", "user-kernel", "blend"])
def test_a_model_that_is_no_product_is_refused_before_anything_is_made(
    kinds: "Kinds", tmp_path: Path, kind: str
) -> None:
    home = Home(shutil.copytree(kinds.home.path, tmp_path / "home"))
    with pytest.raises(BundleError, match=r"no products .* use score.storage = \"dense\""):
        score(home, told(kinds.bundles[kind], "factored"))
    assert not home.predictions.exists()
    assert not home.runs.exists() or not list(home.runs.iterdir())


def test_an_output_that_no_product_follows_has_no_codes_in_its_bundle(
    kinds: "Kinds", tmp_path: Path
) -> None:
    home = Home(shutil.copytree(kinds.home.path, tmp_path / "home"))
    sigmoid = CENTRED[0].replace("identity", "sigmoid")
    bundle = train(home, load_config(None, [sigmoid, *CENTRED[1:]])).bundle
    assert ["manifest.json", "model.onnx", "movies.parquet"] == sorted(
        file.name for file in bundle.iterdir()
    )
    with pytest.raises(BundleError, match="no products"):
        score(home, told(bundle, "factored"))
