"""From the training part of the vectors to a sealed bundle: fit, export, measure, record."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel, ConfigDict

from deeprec.autoencoder import Autoencoder, DampedBiases, RatingPredictor
from deeprec.baselines import Biases, fit_biases
from deeprec.bundles import (
    GRAPH,
    Bundle,
    Manifest,
    Vocabulary,
    installed_versions,
    new_bundle,
    open_bundle,
    write_manifest,
    write_vocabulary,
)
from deeprec.config import Config, EvaluateConfig, as_plain_values
from deeprec.errors import BundleError
from deeprec.evaluation import BIAS, GLOBAL_MEAN, MODEL, EvaluateReport, evaluate_bundle
from deeprec.export import ExportReport, export_onnx
from deeprec.home import Home
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingMatrix, RatingScale
from deeprec.registry import (
    Epoch,
    find_trained,
    read_epochs,
    read_evaluations,
    record_model,
    request_again,
)
from deeprec.splits import Part
from deeprec.trainer import FitResult, fit
from deeprec.vectors import SplitRatings, current_digest, read_scale, read_split
from deeprec.warehouse import Database, open_warehouse

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
    best_epoch: int
    epochs: tuple[Epoch, ...]
    largest_difference: float
    dev: EvaluateReport | None


@dataclass(frozen=True)
class _Inputs:
    """Everything that decides what is trained; only `dev` has seen a held-out rating."""

    ratings: SplitRatings
    train: RatingMatrix
    dev: RatingMatrix
    titles: list[str | None]
    scale: RatingScale
    biases: Biases
    data_digest: str
    fingerprint: str


def train(home: Home, config: Config, progress: Progress = silent) -> TrainReport:
    """Train a model on the training part, export it, measure it on dev and enter it as a bundle.

    A training run that was interrupted goes on from its last epoch; one whose inputs have been
    trained already gives back the bundle that it made.

    Raises:
        WarehouseError: vectors or split are missing or stale.
        TrainingError: training has diverged.
        ExportError: onnxruntime and torch disagree about the exported graph.
        DeviceError: a GPU was asked for and cannot be used.
    """
    with home.lock("train", config.warehouse.lock_timeout_s):
        with open_warehouse(home, config.warehouse) as warehouse:
            inputs = _read_inputs(warehouse, config)
            known = _known_bundle(home, warehouse, inputs.fingerprint)
            if known:
                request_again(warehouse, known.manifest.bundle_id)
                return _report(warehouse, known, changed=False)
        bundle = _train_bundle(home, config, inputs, progress)
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
    """Read the split and fit what is fitted before the network: vocabulary, scale and biases."""
    digest = current_digest(warehouse)
    ratings = read_split(warehouse, config.split)
    everyone = ratings.part(Part.TRAIN)
    is_known_N = np.bincount(everyone.values_UM.indices, minlength=everyone.num_movies) > 0
    vocabulary = everyone.movie_ids_M[is_known_N]
    titles = warehouse.table("vectors/movies")["title"].filter(pa.array(is_known_N)).to_pylist()
    train = everyone.restrict_movies(vocabulary)
    return _Inputs(
        ratings=ratings,
        train=train,
        dev=ratings.part(Part.DEV).restrict_movies(vocabulary),
        titles=titles,
        scale=read_scale(warehouse, train),
        biases=fit_biases(train.values_UM, config.biases.user_damping, config.biases.movie_damping),
        data_digest=digest,
        fingerprint=_fingerprint(config, digest),
    )


def _fingerprint(config: Config, digest: str) -> str:
    """Equal for two runs that would train the same bundle."""
    sections = config.model_dump(
        mode="json", include={"name", "split", "model", "biases", "train", "export"}
    )
    text = json.dumps([sections, digest, version("deeprec"), version("torch")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _build_network(config: Config, inputs: _Inputs) -> RatingPredictor:
    options = config.model.model_dump(exclude={"center"})
    autoencoder = Autoencoder(inputs.train.num_movies, seed=config.train.seed, **options)
    if config.model.center == "none":
        return RatingPredictor(autoencoder)
    biases = inputs.biases
    movie_bias_M = torch.from_numpy(biases.movie_bias_M)
    return RatingPredictor(
        autoencoder, DampedBiases(biases.global_mean, movie_bias_M, biases.user_damping)
    )


def _train_bundle(home: Home, config: Config, inputs: _Inputs, progress: Progress) -> Bundle:
    """Fit, seal, record; the checkpoint goes once all of that is done."""
    network = _build_network(config, inputs)
    checkpoint = home.checkpoints / f"{inputs.fingerprint[:16]}.pt"
    result = fit(
        network,
        inputs.train.values_UM,
        inputs.dev.values_UM if inputs.dev.num_ratings else None,
        config.train,
        inputs.scale,
        checkpoint=checkpoint,
        fingerprint=inputs.fingerprint,
        progress=progress,
    )
    bundle, dev = _seal(home, config, inputs, network, result)
    epochs = [Epoch(**asdict(epoch)) for epoch in result.epochs]
    with open_warehouse(home, config.warehouse) as warehouse:
        record_model(
            warehouse,
            bundle,
            inputs.fingerprint,
            epochs,
            dev.figures if dev else (),
            dev_groups=dev.groups if dev else (),
        )
    checkpoint.unlink(missing_ok=True)
    return bundle


def _seal(
    home: Home, config: Config, inputs: _Inputs, network: RatingPredictor, result: FitResult
) -> tuple[Bundle, EvaluateReport | None]:
    """Export into a new bundle folder, measure that on dev, and give it its name."""
    trained_at = datetime.now(UTC)
    bundle_id = f"{config.name}-{trained_at:%Y%m%dT%H%M%S}-{inputs.fingerprint[:8]}"
    vocabulary = Vocabulary(
        inputs.train.movie_ids_M,
        inputs.titles,
        inputs.biases.movie_bias_M,
        np.bincount(inputs.train.values_UM.indices, minlength=inputs.train.num_movies),
    )
    with new_bundle(home.models, bundle_id) as folder:
        exported = export_onnx(
            network, inputs.scale, inputs.train.values_UM, folder / GRAPH, config.export
        )
        manifest = _manifest(
            config,
            inputs,
            result,
            exported,
            bundle_id=bundle_id,
            trained_at=trained_at,
            vocabulary_digest=vocabulary.digest,
        )
        write_vocabulary(folder, vocabulary)
        dev = None
        if inputs.ratings.part(Part.DEV).num_ratings:
            dev = evaluate_bundle(
                Bundle(folder, manifest, vocabulary),
                inputs.ratings,
                EvaluateConfig(part="dev", device=config.train.device),
            )
            manifest = manifest.model_copy(update={"metrics": _metrics(dev)})
        write_manifest(folder, manifest)
    return open_bundle(home.models / bundle_id), dev


def _manifest(
    config: Config,
    inputs: _Inputs,
    result: FitResult,
    exported: ExportReport,
    *,
    bundle_id: str,
    trained_at: datetime,
    vocabulary_digest: str,
) -> Manifest:
    return Manifest(
        bundle_id=bundle_id,
        name=config.name,
        trained_at=trained_at,
        config=as_plain_values(config),
        data_digest=inputs.data_digest,
        split_id=config.split.split_id,
        first_train_day=inputs.ratings.first_train_day,
        last_train_day=inputs.ratings.last_train_day,
        num_train_ratings=inputs.train.num_ratings,
        num_train_users=int(np.count_nonzero(np.diff(inputs.train.values_UM.indptr))),
        scale=inputs.scale,
        global_mean=inputs.biases.global_mean,
        user_damping=inputs.biases.user_damping,
        seed=config.train.seed,
        device=result.device,
        num_epochs=len(result.epochs),
        best_epoch=result.best_epoch,
        opset=exported.opset,
        largest_difference=exported.largest_difference,
        tolerance=exported.tolerance,
        metrics={},
        versions=installed_versions(),
        vocabulary_digest=vocabulary_digest,
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
    dev = EvaluateReport(bundle_id=manifest.bundle_id, part=Part.DEV, figures=figures)
    return TrainReport(
        bundle_id=manifest.bundle_id,
        bundle=bundle.path,
        name=manifest.name,
        changed=changed,
        device=manifest.device,
        seed=manifest.seed,
        data_digest=manifest.data_digest,
        split_id=manifest.split_id,
        best_epoch=manifest.best_epoch,
        epochs=read_epochs(warehouse, manifest.bundle_id),
        largest_difference=manifest.largest_difference,
        dev=dev if figures else None,
    )
