"""The bundles trained here and what was measured of them, as kept in the warehouse."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deeprec.bundles import Bundle, open_bundle
from deeprec.errors import BundleError
from deeprec.home import Home
from deeprec.splits import Part
from deeprec.warehouse import Database


class Evaluation(BaseModel):
    """The error of one predictor over held-out ratings, in rating units."""

    model_config = ConfigDict(frozen=True)

    predictor: str
    num_ratings: int
    num_cold: int
    rmse: float
    mae: float
    unclipped_rmse: float


class Epoch(BaseModel):
    """One epoch of a bundle's member; errors in rating units, times in seconds."""

    model_config = ConfigDict(frozen=True)

    member: str
    epoch: int
    train_rmse: float
    dev_rmse: float | None
    test_rmse: float | None
    learning_rate: float
    seconds: float


def choose_bundle(home: Home, warehouse: Database, path: Path | None) -> Bundle:
    """The bundle in `path`, else the newest that was trained here.

    Raises:
        BundleError: none was trained here, or it is not whole.
    """
    if path:
        return open_bundle(path.expanduser().resolve())
    newest = warehouse.rows("models/newest")
    if not newest:
        raise BundleError(
            f"{home.path}: no model has been trained here yet; run `deeprec train` first, or "
            "name a bundle folder"
        )
    ((bundle_id,),) = newest
    return open_bundle(home.models / bundle_id)


def request_again(warehouse: Database, bundle_id: str) -> None:
    """Make a bundle that is there already the newest."""
    now = datetime.now(UTC).replace(tzinfo=None)
    warehouse.run("models/request_again", bundle_id=bundle_id, requested_at=now)


def find_trained(warehouse: Database, fingerprint: str) -> str | None:
    """The id of the bundle that was trained from exactly these inputs, if one was."""
    found = warehouse.rows("models/by_fingerprint", fingerprint=fingerprint)
    return str(found[0][0]) if found else None


def record_model(
    warehouse: Database,
    bundle: Bundle,
    fingerprint: str,
    epochs: Iterable[Epoch],
    dev: Iterable[Evaluation],
) -> None:
    """Enter a new bundle with its learning curve and its figures on dev."""
    manifest = bundle.manifest
    with warehouse.transaction():
        warehouse.run(
            "models/record",
            bundle_id=manifest.bundle_id,
            fingerprint=fingerprint,
            name=manifest.name,
            split_id=manifest.split_id,
            data_digest=manifest.data_digest,
            seed=manifest.seed,
            device=manifest.device,
            dev_rmse=manifest.metrics.get("dev_rmse"),
            largest_difference=manifest.largest_difference,
            trained_at=manifest.trained_at.replace(tzinfo=None),
        )
        for member in manifest.members:
            values = member.model_dump()
            warehouse.run("models/record_member", bundle_id=manifest.bundle_id, **values)
        for epoch in epochs:
            warehouse.run("models/record_epoch", bundle_id=manifest.bundle_id, **epoch.model_dump())
        _insert_evaluations(warehouse, bundle, Part.DEV, dev)


def record_evaluations(
    warehouse: Database, bundle: Bundle, part: Part, evaluations: Iterable[Evaluation]
) -> None:
    """Enter what was measured of a bundle and of the floors beside it."""
    with warehouse.transaction():
        _insert_evaluations(warehouse, bundle, part, evaluations)


def read_epochs(warehouse: Database, bundle_id: str) -> tuple[Epoch, ...]:
    """A bundle's learning curve."""
    rows = warehouse.table("models/epochs", bundle_id=bundle_id).to_pylist()
    return tuple(Epoch.model_validate(row) for row in rows)


def read_evaluations(warehouse: Database, bundle_id: str, part: Part) -> tuple[Evaluation, ...]:
    """What was measured last of a bundle and of the floors on one part."""
    rows = warehouse.table("models/evaluations", bundle_id=bundle_id, part=part.value).to_pylist()
    return tuple(Evaluation.model_validate(row) for row in rows)


def _insert_evaluations(
    warehouse: Database, bundle: Bundle, part: Part, evaluations: Iterable[Evaluation]
) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    for evaluation in evaluations:
        warehouse.run(
            "models/record_evaluation",
            bundle_id=bundle.manifest.bundle_id,
            split_id=bundle.manifest.split_id,
            data_digest=bundle.manifest.data_digest,
            part=part.value,
            evaluated_at=now,
            **evaluation.model_dump(),
        )
