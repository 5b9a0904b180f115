"""From the training part of the vectors to a sealed bundle: fit, export, measure, record.

Shape legend: U users, N movies of the warehouse, M movies of the vocabulary.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.config.evaluation import EvaluateConfig
from deeprec.config.run import Config, as_plain_values
from deeprec.errors import BundleError, SplitError
from deeprec.evaluation.evaluate import BIAS, GLOBAL_MEAN, MODEL, EvaluateReport, evaluate_bundle
from deeprec.home import Home
from deeprec.models.baselines import fit_biases
from deeprec.models.bundles import (
    Bundle,
    Manifest,
    Member,
    Vocabulary,
    clear_unentered,
    installed_versions,
    mark_entered,
    new_bundle,
    open_bundle,
    write_manifest,
    write_vocabulary,
)
from deeprec.models.registry import (
    Epoch,
    find_trained,
    read_epochs,
    read_evaluations,
    read_groups,
    read_registry,
    record_model,
    request_again,
)
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingMatrix, RatingScale
from deeprec.splits import LastKSplit, ListedSplit, Part
from deeprec.training.fitting import FittedModel, fit_model, refit_model, weigh_members
from deeprec.training.material import Keeping, Material
from deeprec.vectors.materialize import SplitRatings, current_digest, read_scale, read_split
from deeprec.vectors.partition import pin
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse, require_warehouse

_LOG = logging.getLogger(__name__)


class TrainReport(BaseModel):
    """A bundle, and how it came to be."""

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    bundle: Path
    name: str
    changed: bool
    device: str
    seed: int
    data_digest: str
    split_id: str
    trained_on: tuple[str, ...]
    members: tuple[Member, ...]
    epochs: tuple[Epoch, ...]
    largest_difference: float
    dev: EvaluateReport | None


@dataclass(frozen=True)
class _Inputs:
    """Everything that decides what is trained."""

    config: Config
    ratings: SplitRatings
    titles_N: pa.ChunkedArray
    scale: RatingScale
    data_digest: str
    fingerprint: str
    read_at: datetime

    @property
    def checkpoint(self) -> str:
        """What the names of its checkpoints begin with: by the ratings first, which may change."""
        return f"{self.data_digest[:8]}-{self.fingerprint[:16]}"

    def material(self, *parts: Part) -> Material:
        """What a model is fitted to: these parts, and dev where it is not among them."""
        config = self.config
        everyone = self.ratings.part(*parts)
        vocabulary = everyone.movie_ids_M[everyone.num_by_movie_M > 0]
        train = everyone.restrict_movies(vocabulary)
        damping = config.biases

        def held_out(part: Part, *, wanted: bool) -> RatingMatrix | None:
            held = self.ratings.part(part).restrict_movies(vocabulary)
            return held if wanted and held.num_ratings else None

        return Material(
            train=train,
            dev=held_out(Part.DEV, wanted=Part.DEV not in parts),
            watched=held_out(Part.TEST, wanted=config.train.watch_test),
            scale=self.scale,
            biases=fit_biases(train.values_UM, damping.user_damping, damping.movie_damping),
            damping=damping,
        )

    def vocabulary(self, material: Material) -> Vocabulary:
        """The movies of the material, as a bundle keeps them."""
        train = material.train
        is_known_N = np.isin(self.ratings.movie_ids_N, train.movie_ids_M)
        return Vocabulary(
            train.movie_ids_M,
            self.titles_N.filter(pa.array(is_known_N)).to_pylist(),
            material.biases.movie_bias_M,
            train.num_by_movie_M,
        )


def train(
    home: Home, config: Config, progress: Progress = silent, *, by: str = "train"
) -> TrainReport:
    """Train a model on the training part, export it, measure it on dev and enter it as a bundle.

    A training run that was interrupted goes on from its last checkpoint; one whose inputs have
    been trained already gives back the bundle that it made. With `refit`, the bundle is fitted
    once more, on train and dev together, after dev has chosen epochs and weights; its figures on
    dev are those of before. `by` is who is entered as having trained it.

    Raises:
        WarehouseError: vectors or split are missing or stale.
        SplitError: dev ratings are needed, and the split has none.
        MetricError: there are too few of them to weigh a blend.
        SourceError: a file that the split lists its pairs in cannot be read.
        TrainingError: training has diverged.
        ExportError: onnxruntime and torch disagree about the exported graph.
        DeviceError: a GPU was asked for and cannot be used.
    """
    config = config.model_copy(update={"split": pin(config.split)})
    require_warehouse(home)
    for key, why in config.idle_keys.items():
        _LOG.warning("%s does nothing %s", key, why)
    with home.lock("train", config.warehouse.lock_timeout_s):
        with open_warehouse(home, config.warehouse) as warehouse:
            inputs = _read_inputs(warehouse, config)
            clear_unentered(home.models, {model.bundle_id for model in read_registry(warehouse)})
            known = _known_bundle(home, warehouse, inputs.fingerprint)
            if known:
                request_again(warehouse, known.manifest.bundle_id)
                _clear_checkpoints(home, inputs)
                return _report(warehouse, known, changed=False)
        bundle = _train_bundle(home, inputs, progress, by)
        with open_warehouse(home, config.warehouse) as warehouse:
            return _report(warehouse, bundle, changed=True)


def _known_bundle(home: Home, warehouse: Database, fingerprint: str) -> Bundle | None:
    """The bundle of these inputs, if one was trained here and is still whole."""
    bundle_id = find_trained(warehouse, fingerprint)
    try:
        return open_bundle(home.models / bundle_id) if bundle_id else None
    except BundleError as error:
        _LOG.warning("%s; training it again", error)
        return None


def _read_inputs(warehouse: Database, config: Config) -> _Inputs:
    """The split, and the scale its training part stands on."""
    digest = current_digest(warehouse)
    ratings = read_split(warehouse, config.split, train_days=config.needs_days)
    return _Inputs(
        config=config,
        ratings=ratings,
        titles_N=warehouse.table("vectors/movies")["title"],
        scale=read_scale(warehouse, ratings.part(Part.TRAIN)),
        data_digest=digest,
        fingerprint=_fingerprint(config, digest),
        read_at=datetime.now(UTC),
    )


def _fingerprint(config: Config, digest: str) -> str:
    """Equal for two runs that would train the same bundle."""
    told = [config.name, config.decisive, digest, version("deeprec"), version("torch")]
    text = json.dumps(told, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _dev_of(config: Config) -> str:
    """How a split of this kind comes to dev ratings, as the end of a sentence."""
    if isinstance(config.split, ListedSplit):
        return " in the list that split.dev names"
    key = "dev_k=1" if isinstance(config.split, LastKSplit) else "dev_fraction=0.05"
    return f", as --set split.{key}"


def _train_bundle(home: Home, inputs: _Inputs, progress: Progress, by: str) -> Bundle:
    """Fit, seal, record; the checkpoints go once all of that is done."""
    config = inputs.config
    keeping = Keeping(home.checkpoints / f"{inputs.checkpoint}.pt", inputs.fingerprint, progress)
    material = inputs.material(Part.TRAIN)
    if config.needs_dev and material.dev is None:
        raise SplitError(
            f"the {config.split.kind} split holds back no dev rating of a movie in train, by which "
            f"a blend is weighed and a refit is told its epochs; give it some{_dev_of(config)}"
        )
    fitted = fit_model(config, material, keeping)
    trained_at = datetime.now(UTC)
    bundle_id = f"{config.name}-{trained_at:%Y%m%dT%H%M%S}-{inputs.fingerprint[:8]}"
    with new_bundle(home.models, bundle_id) as folder:
        draft = _Draft(inputs, bundle_id, trained_at)
        manifest, dev = draft.fill(folder, fitted, material)
        if config.refit:
            again = inputs.material(Part.TRAIN, Part.DEV)
            refitted = refit_model(config, fitted, again, keeping)
            manifest = draft.refill(folder, refitted, again, manifest)
        write_manifest(folder, manifest)
    bundle = open_bundle(home.models / bundle_id)
    epochs = [
        Epoch(member=name, **asdict(epoch))
        for name, member in fitted.members.items()
        for epoch in member.result.epochs
    ]
    with open_warehouse(home, config.warehouse) as warehouse:
        record_model(
            warehouse,
            bundle,
            inputs.fingerprint,
            epochs,
            dev.figures if dev else (),
            dev_groups=dev.groups if dev else (),
            by=by,
        )
    mark_entered(bundle)
    _clear_checkpoints(home, inputs)
    return bundle


def _clear_checkpoints(home: Home, inputs: _Inputs) -> None:
    """Remove those of a model that is entered, and of ratings that are gone."""
    for left in home.checkpoints.glob("*"):
        is_own = left.name.startswith(inputs.checkpoint)
        if is_own or not left.name.startswith(inputs.data_digest[:8]):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


@dataclass(frozen=True)
class _Draft:
    """A bundle in the making."""

    inputs: _Inputs
    bundle_id: str
    trained_at: datetime

    def fill(
        self, folder: Path, fitted: FittedModel, material: Material
    ) -> tuple[Manifest, EvaluateReport | None]:
        """Export a model into the folder, weigh its members on dev, and measure it there."""
        manifest = self._export(folder, fitted, material)
        if not material.dev:
            return manifest, None
        vocabulary = self.inputs.vocabulary(material)
        weighed = weigh_members(Bundle(folder, manifest, vocabulary), material)
        told = EvaluateConfig(part="dev", device=self.inputs.config.train.device)
        dev = evaluate_bundle(Bundle(folder, weighed, vocabulary), self.inputs.ratings, told)
        return weighed.model_copy(update={"metrics": _metrics(dev)}), dev

    def refill(
        self, folder: Path, refitted: FittedModel, material: Material, before: Manifest
    ) -> Manifest:
        """Export the refitted model over the one that dev has chosen, whose choices stand."""
        kept = {
            "members": before.members,
            "intercept": before.intercept,
            "metrics": before.metrics,
            "trained_on": ("train", "dev"),
        }
        return self._export(folder, refitted, material).model_copy(update=kept)

    def _export(self, folder: Path, fitted: FittedModel, material: Material) -> Manifest:
        inputs, config = self.inputs, self.inputs.config
        exported = fitted.export(folder, material, config.export)
        vocabulary = inputs.vocabulary(material)
        write_vocabulary(folder, vocabulary)
        return Manifest(
            bundle_id=self.bundle_id,
            name=config.name,
            trained_at=self.trained_at,
            ratings_read_at=inputs.read_at,
            config=as_plain_values(config),
            data_digest=inputs.data_digest,
            split_id=config.split.split_id,
            first_train_day=inputs.ratings.first_train_day,
            last_train_day=inputs.ratings.last_train_day,
            num_train_ratings=material.train.num_ratings,
            num_train_users=int(np.count_nonzero(np.diff(material.train.values_UM.indptr))),
            scale=inputs.scale,
            global_mean=material.biases.global_mean,
            user_damping=material.biases.user_damping,
            seed=config.train.seed,
            device=fitted.device,
            members=fitted.described(),
            intercept=0.0,
            trained_on=("train",),
            opset=exported.opset,
            largest_difference=exported.largest_difference,
            tolerance=exported.tolerance,
            metrics={},
            versions=installed_versions(),
            vocabulary_digest=vocabulary.digest,
        )


def _metrics(dev: EvaluateReport) -> dict[str, float]:
    """The figures that travel with the bundle."""
    return {
        "dev_rmse": dev.figure(MODEL).rmse,
        "dev_mae": dev.figure(MODEL).mae,
        "dev_rmse_bias": dev.figure(BIAS).rmse,
        "dev_rmse_global_mean": dev.figure(GLOBAL_MEAN).rmse,
    }


def _report(warehouse: Database, bundle: Bundle, *, changed: bool) -> TrainReport:
    """What the bundle and the warehouse say of it."""
    manifest = bundle.manifest
    figures = read_evaluations(warehouse, manifest.bundle_id, Part.DEV)
    groups = read_groups(warehouse, manifest.bundle_id, Part.DEV)
    dev = EvaluateReport(
        bundle_id=manifest.bundle_id, part=Part.DEV, figures=figures, groups=groups
    )
    return TrainReport(
        bundle_id=manifest.bundle_id,
        bundle=bundle.path,
        name=manifest.name,
        changed=changed,
        device=manifest.device,
        seed=manifest.seed,
        data_digest=manifest.data_digest,
        split_id=manifest.split_id,
        trained_on=manifest.trained_on,
        members=manifest.members,
        epochs=read_epochs(warehouse, manifest.bundle_id),
        largest_difference=manifest.largest_difference,
        dev=dev if figures else None,
    )
