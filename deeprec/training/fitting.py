"""Fitting what a configuration names, one model or the members of a blend, and weighing them.

Shape legend: U users, R held-out ratings, K members, B users in a batch, M movies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deeprec.config.models import BlendConfig, MemberConfig
from deeprec.config.run import Config
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.export.graphs import ExportReport
from deeprec.metrics.accuracy import Errors
from deeprec.models.blends import BlendModel
from deeprec.models.bundles import Bundle, Manifest, Member
from deeprec.ratings import Floats
from deeprec.splits import NUM_SEEDS
from deeprec.training.blend_weights import fit_weights
from deeprec.training.material import Keeping, Material
from deeprec.training.members import Fitted, fit_member

_ONLY = "model"  # the name of a bundle's member where there is but one
_BATCH = 256  # users


@dataclass(frozen=True)
class FittedModel:
    """The members of a bundle, fitted; one of them unless it is a blend."""

    members: Mapping[str, Fitted]
    is_blend: bool

    @property
    def device(self) -> str:
        """`cuda` where any member was fitted there."""
        devices = {member.result.device for member in self.members.values()}
        return "cuda" if "cuda" in devices else "cpu"

    def described(self) -> tuple[Member, ...]:
        """What the manifest says of the members, in equal shares."""
        return tuple(
            Member(
                name=name,
                weight=1 / len(self.members),
                num_epochs=len(member.result.epochs),
                best_epoch=member.result.best_epoch,
                fold_in_ridge=member.fold_in_ridge,
            )
            for name, member in self.members.items()
        )

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """Write all graphs into a folder; the report of the member that differs most from torch.

        Raises:
            ExportError: a graph does not agree with what it was made of.
        """
        reports = []
        for name, member in self.members.items():
            inside = folder / name if self.is_blend else folder
            inside.mkdir(exist_ok=True)
            reports.append(member.export(inside, material, config))
        return max(reports, key=lambda report: report.largest_difference)


def fit_model(config: Config, material: Material, keeping: Keeping) -> FittedModel:
    """Every member, one after the other, its epoch chosen on dev where it has epochs.

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, or a fit diverged.
    """
    members = {
        told.name: fit_member(told.model, told.train, material, _kept(keeping, told.name))
        for told in told_members(config)
    }
    return FittedModel(members, isinstance(config.model, BlendConfig))


def refit_model(
    config: Config, chosen: FittedModel, material: Material, keeping: Keeping
) -> FittedModel:
    """The same members fitted to more ratings, each for the epochs that were best before."""
    members = {
        told.name: fit_member(
            told.model,
            _for_epochs(told.train, chosen.members[told.name].result.best_epoch),
            material,
            _kept(keeping, f"{told.name}+refit"),  # which no other member can be called
        )
        for told in told_members(config)
    }
    return FittedModel(members, chosen.is_blend)


def weigh_members(bundle: Bundle, material: Material) -> Manifest:
    """The manifest with each member's weight and RMSE on dev, as it was exported.

    Dev ratings of users without any in train have no say: biases alone answer for such users.

    Raises:
        MetricError: there are too few dev ratings to weigh the members.
    """
    manifest, config = bundle.manifest, bundle.config
    model = bundle.model(config.train.device)
    if not isinstance(config.model, BlendConfig) or not isinstance(model, BlendModel):
        return manifest
    predicted_RK, actual_R = _on_dev(model, material)
    fitted = fit_weights(predicted_RK, actual_R, config.model.ridge)
    clipped_RK = np.clip(predicted_RK, manifest.scale.minimum, manifest.scale.maximum)
    members = tuple(
        member.model_copy(
            update={
                "weight": float(weight),
                "dev_rmse": Errors.of(actual_R, clipped_RK[:, place]).rmse,
            }
        )
        for place, (member, weight) in enumerate(
            zip(manifest.members, fitted.weights_K, strict=True)
        )
    )
    return manifest.model_copy(update={"members": members, "intercept": fitted.intercept})


def told_members(config: Config) -> list[MemberConfig]:
    """Each member with the run's seed added to its own, and the run's device and processes."""
    model, train = config.model, config.train
    if not isinstance(model, BlendConfig):
        return [MemberConfig(name=_ONLY, model=model, train=train)]
    return [
        told.model_copy(
            update={
                "train": told.train.model_copy(
                    update={
                        "seed": (told.train.seed + train.seed) % NUM_SEEDS,
                        "device": train.device,
                        "processes": train.processes,
                        "watch_test": train.watch_test,
                    }
                )
            }
        )
        for told in model.members
    ]


def _on_dev(model: BlendModel, material: Material) -> tuple[Floats, Floats]:
    """R x K: what every member says of each dev rating of a user in train, and the ratings."""
    assert material.dev is not None, "weights are fitted where there are dev ratings"
    side = model.movie_side(material.train)
    train, dev = material.train, material.dev
    has_both_U = (np.diff(train.values_UM.indptr) > 0) & (np.diff(dev.values_UM.indptr) > 0)
    known, hidden = train.select_users(has_both_U), dev.select_users(has_both_U)
    predicted = [np.empty((0, len(model.members)), np.float32)]
    actual = [np.empty(0, np.float32)]
    for start in range(0, known.num_users, _BATCH):
        rows = slice(start, start + _BATCH)
        hidden_BM = hidden.select_rows(rows).values_UM.tocoo()
        each = model.predict_each(known.select_rows(rows), side, counted=True)
        predicted.append(
            np.stack([each[name][hidden_BM.row, hidden_BM.col] for name in model.members], axis=1)
        )
        actual.append(hidden_BM.data)
    return np.concatenate(predicted), np.concatenate(actual)


def _for_epochs(train: TrainConfig, num_epochs: int) -> TrainConfig:
    """The same settings for so many epochs; models without epochs do not look."""
    return train.model_copy(update={"num_epochs": max(num_epochs, 1)})


def _kept(keeping: Keeping, name: str) -> Keeping:
    """A checkpoint and a line of progress for each fit."""
    checkpoint = keeping.checkpoint
    if checkpoint:
        checkpoint = checkpoint.with_name(f"{checkpoint.stem}-{name}.pt")

    def tell(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        keeping.progress(what if name == _ONLY else f"{what} {name}", done, total, unit, note)

    return replace(keeping, checkpoint=checkpoint, progress=tell)
