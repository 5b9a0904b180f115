import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deeprec.errors import BundleError
from deeprec.home import Home
from deeprec.models.bundles import Vocabulary, clear_unentered, new_bundle, open_bundle
from deeprec.models.prediction import check_vocabulary


@pytest.fixture
def bundle_dir(trained_home: Home) -> Path:
    (folder,) = trained_home.models.iterdir()
    return folder


def test_a_bundle_says_where_it_comes_from_and_how_good_it_is(bundle_dir: Path) -> None:
    manifest = open_bundle(bundle_dir).manifest
    assert "tiny" == manifest.name
    assert (1.0, 5.0) == (manifest.scale.minimum, manifest.scale.maximum)
    assert "2005-01-01" == str(manifest.first_train_day)
    assert {"dev_rmse", "dev_mae", "dev_rmse_bias", "dev_rmse_global_mean"} == set(manifest.metrics)
    assert manifest.largest_difference <= manifest.tolerance
    assert "torch" in manifest.versions


def test_a_copied_bundle_is_as_good_as_the_first(bundle_dir: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle_dir, tmp_path / "elsewhere")
    assert open_bundle(bundle_dir).manifest == open_bundle(copy).manifest


def test_a_bundle_of_a_split_that_is_made_otherwise_now_is_not_measured(bundle_dir: Path) -> None:
    bundle = open_bundle(bundle_dir)
    assert bundle.manifest.split_id == bundle.split.split_id
    other = bundle.manifest.model_copy(update={"split_id": "another"})
    with pytest.raises(BundleError, match=r"made its random split otherwise.*train again"):
        _ = replace(bundle, manifest=other).split


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def set_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 9}))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("model.onnx", append, "not the file that was sealed"),
        ("movies.parquet", append, "not the file that was sealed"),
        ("model.onnx", Path.unlink, "model.onnx is missing"),
        ("manifest.json", Path.unlink, "not a bundle"),
        ("manifest.json", append, "not a bundle's manifest"),
        ("manifest.json", set_version, "bundle format 9"),
    ],
)
def test_a_damaged_bundle_is_refused(
    bundle_dir: Path, file: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(bundle_dir / file)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle_dir)


def test_a_bundle_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail() -> None:
        with new_bundle(tmp_path, "half") as folder:
            (folder / "model.onnx").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [] == list(tmp_path.iterdir())


def test_a_bundle_that_appears_is_one_that_can_be_cleared_away_until_it_is_entered(
    tmp_path: Path,
) -> None:
    with new_bundle(tmp_path, "new") as folder:
        (folder / "model.onnx").write_bytes(b"whole")
    with new_bundle(tmp_path, "died"):
        pass
    clear_unentered(tmp_path, ["new"])
    assert [tmp_path / "new"] == list(tmp_path.iterdir())
    assert ["model.onnx"] == [file.name for file in (tmp_path / "new").iterdir()]
    clear_unentered(tmp_path, [])
    assert [tmp_path / "new"] == list(tmp_path.iterdir())


def test_the_vocabularys_digest_tells_order_and_movies_apart() -> None:
    def digest(*ids: int) -> str:
        size = len(ids)
        bias_M = np.zeros(size, dtype=np.float32)
        return Vocabulary(np.array(ids), [None] * size, bias_M, np.ones(size, np.int64)).digest

    assert digest(1, 2) == digest(1, 2)
    assert 3 == len({digest(1, 2), digest(2, 1), digest(1, 3)})


def test_the_same_numbers_with_other_titles_are_another_catalogue(bundle_dir: Path) -> None:
    bundle = open_bundle(bundle_dir)
    ids_M, titles = bundle.vocabulary.movie_ids_M, bundle.vocabulary.titles
    check_vocabulary(bundle, ids_M, titles)
    check_vocabulary(bundle, ids_M, [None for _ in titles])
    check_vocabulary(bundle, ids_M, ["Corrected", *titles[1:]])
    with pytest.raises(BundleError, match="titles differ"):
        check_vocabulary(bundle, ids_M, [f"Another {title}" for title in titles])
