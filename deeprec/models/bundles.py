"""A trained model as a folder that someone can copy to another machine and score from.

model.onnx       the graph: vectors in, predicted ratings out
movies.onnx      where a model works on movies' vectors: the graph that makes codes of them
users.parquet    beside it: what was learned of each user: user_id, code, digest of his ratings
movies.parquet   the vocabulary in the graph's order: movie_id, title, bias, num_ratings
manifest.json    what it was made from and how good it is, and the digest of each file

Beside these lie the parts of a graph that are run by themselves; a recurrent network has graphs of
its steps instead of `model.onnx`. `models.opening.files_of` lists the files of each kind. A blend
has one folder a member, each with graphs of its own.

Shape legend: N movies of the warehouse, M movies of the vocabulary.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from deeprec.config.models import BlendConfig, MemberModelConfig
from deeprec.config.run import Config
from deeprec.config.section import Device
from deeprec.errors import BundleError
from deeprec.models.baselines import Biases
from deeprec.models.blends import BlendModel
from deeprec.models.interface import Model
from deeprec.models.opening import files_of, open_model
from deeprec.ratings import Floats, Ids, RatingScale
from deeprec.splits import Split

FORMAT_VERSION = 6
_MOVIES = "movies.parquet"
_MANIFEST = "manifest.json"
_BUILDING = ".building"
_UNENTERED = ".unentered"  # in a bundle from when it appears until a registry knows it
_PACKAGES = (
    "deeprec",
    "torch",
    "onnx",
    "onnxruntime-gpu",
    "onnxruntime",
    "numpy",
    "scipy",
    "duckdb",
)


class Member(BaseModel):
    """One model of a bundle, and its part in the bundle's predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weight: float
    num_epochs: int
    best_epoch: int
    fold_in_ridge: float
    dev_rmse: float | None = None


class Manifest(BaseModel):
    """Where a bundle comes from, how it was made, how good it is.

    It was trained on the ratings as they were at `ratings_read_at`, None in bundles from before
    that was kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    bundle_id: str
    name: str
    trained_at: datetime
    ratings_read_at: datetime | None = None
    config: dict[str, Any]
    data_digest: str
    split_id: str
    first_train_day: date | None
    last_train_day: date | None
    num_train_ratings: int
    num_train_users: int
    scale: RatingScale
    global_mean: float
    user_damping: float
    seed: int
    device: str
    members: tuple[Member, ...]
    intercept: float
    trained_on: tuple[Literal["train", "dev"], ...]
    opset: int
    largest_difference: float
    tolerance: float
    metrics: dict[str, float]
    versions: dict[str, str]
    vocabulary_digest: str
    digests: dict[str, str] = {}


@dataclass(frozen=True)
class Vocabulary:
    """The movies a model knows, in the order of its inputs and outputs."""

    movie_ids_M: Ids
    titles: list[str | None]
    bias_M: Floats
    num_ratings_M: Ids

    @property
    def digest(self) -> str:
        """SHA-256 over the ids in order, as 64-bit little-endian integers."""
        return hashlib.sha256(self.movie_ids_M.astype("<i8").tobytes()).hexdigest()

    def num_ratings_N(self, movie_ids_N: Ids) -> Ids:
        """How often each of N movies was rated in training; those not known here, never."""
        num_ratings_N = np.zeros(len(movie_ids_N), dtype=np.int64)
        num_ratings_N[np.searchsorted(movie_ids_N, self.movie_ids_M)] = self.num_ratings_M
        return num_ratings_N


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been opened and found whole."""

    path: Path
    manifest: Manifest
    vocabulary: Vocabulary

    @property
    def config(self) -> Config:
        """What it was trained with; BundleError when this deeprec does not understand it."""
        return _config_of(self.path, self.manifest)

    @property
    def split(self) -> Split:
        """The split it was trained under; BundleError when this deeprec divides otherwise by it."""
        split = self.config.split
        if split.split_id != self.manifest.split_id:
            raise BundleError(
                f"{self.path}: trained by a deeprec that made its {split.kind} split otherwise, so "
                "held-out ratings cannot be told from those it has seen; train again first"
            )
        return split

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of it, relative to its folder."""
        return (*self.manifest.digests, _MANIFEST)

    @property
    def biases(self) -> Biases:
        """The floor beside the model, and its stand-in for what it does not know."""
        manifest = self.manifest
        return Biases(manifest.global_mean, self.vocabulary.bias_M, manifest.user_damping)

    def model(self, device: Device = "auto", num_threads: int = 0) -> Model:
        """The model, ready to run; BundleError when a file does not fit the others."""
        config = self.config.model
        members = {member.name: member for member in self.manifest.members}
        if not isinstance(config, BlendConfig):
            (member,) = members.values()
            return self._open(self.path, config, member, device, num_threads)
        models = {
            told.name: self._open(
                self.path / told.name, told.model, members[told.name], device, num_threads
            )
            for told in config.members
        }
        weights = {name: member.weight for name, member in members.items()}
        return BlendModel(models, weights, self.manifest.intercept)

    def _open(
        self,
        folder: Path,
        config: MemberModelConfig,
        member: Member,
        device: Device,
        num_threads: int,
    ) -> Model:
        return open_model(
            folder,
            config,
            self.biases,
            fold_in_ridge=member.fold_in_ridge,
            unit=self.manifest.scale.unit,
            device=device,
            num_threads=num_threads,
        )


@contextmanager
def new_bundle(models: Path, bundle_id: str) -> Iterator[Path]:
    """A folder to fill, which appears under `models` whole, or not at all.

    It is marked as one that no registry knows yet; see `mark_entered`.
    """
    building = models / f".{bundle_id}{_BUILDING}"
    building.mkdir(parents=True)
    try:
        yield building
        (building / _UNENTERED).touch()
        _sync(building)
        building.replace(models / bundle_id)
        _sync_folder(models)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def mark_entered(bundle: Bundle) -> None:
    """Say that a registry knows it."""
    (bundle.path / _UNENTERED).unlink(missing_ok=True)


def clear_unentered(models: Path, entered: Collection[str]) -> None:
    """Remove bundles half filled, and those that nobody could enter any more.

    One process trains at a time, so they are of some that died. Links lead to another home's.

    Args:
        models: the folder of bundles.
        entered: ids that the registry knows.
    """
    for mark in models.glob(f"[!.]*/{_UNENTERED}"):
        folder = mark.parent
        if folder.name in entered:
            mark.unlink()
        elif not folder.is_symlink():
            folder.replace(models / f".{folder.name}{_BUILDING}")
    for unfinished in models.glob(f".*{_BUILDING}"):
        shutil.rmtree(unfinished)


def write_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Put the vocabulary into a bundle that is being filled."""
    table = pa.table(
        {
            "movie_id": vocabulary.movie_ids_M,
            "title": pa.array(vocabulary.titles, pa.string()),
            "bias": vocabulary.bias_M,
            "num_ratings": vocabulary.num_ratings_M,
        }
    )
    pq.write_table(table, folder / _MOVIES)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into a bundle that is being filled, last: it holds the files' digests."""
    names = _sealed_files(Config.model_validate(manifest.config))
    digests = {name: _file_digest(folder / name) for name in names}
    sealed = manifest.model_copy(update={"digests": digests})
    (folder / _MANIFEST).write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")


def open_bundle(path: Path) -> Bundle:
    """The bundle in a folder.

    Raises:
        BundleError: it is incomplete, of another format, or a file is not what was sealed.
    """
    manifest = _read_manifest(path / _MANIFEST)
    config = _config_of(path, manifest)
    expected = _sealed_files(config)
    if set(manifest.digests) != set(expected):
        raise BundleError(f"{path}: seals {sorted(manifest.digests)}, not {sorted(expected)}")
    if isinstance(config.model, BlendConfig):
        told = [member.name for member in manifest.members]
        named = [member.name for member in config.model.members]
        if told != named:
            raise BundleError(f"{path}: its members are {told}, its configuration names {named}")
    for name, digest in manifest.digests.items():
        if not (path / name).is_file():
            raise BundleError(f"{path}: {name} is missing; copy the bundle again")
        if _file_digest(path / name) != digest:
            raise BundleError(
                f"{path / name}: not the file that was sealed with this bundle; copy it again"
            )
    vocabulary = _read_vocabulary(path / _MOVIES)
    if vocabulary.digest != manifest.vocabulary_digest:
        raise BundleError(f"{path}: the movies are not those that the model was trained on")
    return Bundle(path, manifest, vocabulary)


def installed_versions() -> dict[str, str]:
    """The versions that decide what a model comes out as."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _read_manifest(path: Path) -> Manifest:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values.get("format_version")
        if found != FORMAT_VERSION:
            raise BundleError(
                f"{path}: bundle format {found}, this deeprec reads {FORMAT_VERSION}; "
                "score it with the deeprec that made it, or train again"
            )
        manifest = Manifest.model_validate(values)
    except FileNotFoundError as error:
        raise BundleError(f"{path.parent}: not a bundle: it has no {path.name}") from error
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise BundleError(f"{path}: not a bundle's manifest: {error}") from error
    return manifest


def _config_of(path: Path, manifest: Manifest) -> Config:
    try:
        return Config.model_validate(manifest.config)
    except ValidationError as error:
        raise BundleError(
            f"{path}: its configuration is not one of this deeprec's: {error}"
        ) from error


def _sealed_files(config: Config) -> list[str]:
    """Every file of a bundle but the manifest, relative to its folder."""
    if not isinstance(config.model, BlendConfig):
        return [*files_of(config.model), _MOVIES]
    inside = [f"{m.name}/{file}" for m in config.model.members for file in files_of(m.model)]
    return [*inside, _MOVIES]


def _read_vocabulary(path: Path) -> Vocabulary:
    try:
        table = pq.read_table(path, columns=["movie_id", "title", "bias", "num_ratings"])
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path}: not a bundle's vocabulary: {error}") from error
    return Vocabulary(
        movie_ids_M=np.asarray(table["movie_id"].to_numpy(), dtype=np.int64),
        titles=table["title"].to_pylist(),
        bias_M=np.asarray(table["bias"].to_numpy(), dtype=np.float32),
        num_ratings_M=np.asarray(table["num_ratings"].to_numpy(), dtype=np.int64),
    )


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Have the folder's files on disk before its name says that they are there."""
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync_folder(path)
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
