"""The bundles trained here and what was measured of them, as kept in the warehouse."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.errors import BundleError
from deeprec.home import Home
from deeprec.metrics.breakdowns import Group
from deeprec.models.bundles import Bundle, open_bundle
from deeprec.splits import Part
from deeprec.warehouse.database import Database


class Evaluation(BaseModel):
    """The error of one predictor over held-out ratings, in rating units.

    `minus_bias` is its RMSE minus that of the damped biases: negative where it is better. `low`
    and `high` bound 95 % intervals over users; None where there is but one user.
    """

    model_config = ConfigDict(frozen=True)

    predictor: str
    num_ratings: int
    num_cold: int
    rmse: float
    rmse_low: float | None = None
    rmse_high: float | None = None
    mae: float
    unclipped_rmse: float
    unclipped_mae: float
    minus_bias: float
    minus_bias_low: float | None = None
    minus_bias_high: float | None = None


class Ranking(BaseModel):
    """The lists of one predictor, of each user's best movies that training does not know of him.

    `recall` and `ndcg` are means over users, as in Liang et al. (2018), Variational Autoencoders
    for Collaborative Filtering, section 4.2: of a user's held-out movies that he liked, how many
    are in the list, of as many as it could hold; and the same with each place discounted by
    log2(1 + place). `coverage` is the part of all movies that is in any list, `rarely_rated` the
    part of all places that movies with fewer than ten training ratings take.
    """

    model_config = ConfigDict(frozen=True)

    lists_of: str
    top_n: int
    num_users: int
    recall: float
    ndcg: float
    coverage: float
    rarely_rated: float


class RecordedRanking(Ranking):
    """The same, of a part of a bundle's split."""

    part: Part


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


class ModelStatus(StrEnum):
    """What has become of a bundle; at most one is champion, which scores."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"


class RegisteredModel(BaseModel):
    """A bundle trained here and what has become of it; errors in rating units."""

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    name: str
    status: ModelStatus
    trained_at: datetime
    first_train_day: date | None
    last_train_day: date | None
    num_train_ratings: int
    data_digest: str
    split_id: str
    seed: int
    device: str
    dev_rmse: float | None
    test_rmse: float | None
    test_minus_bias: float | None
    largest_difference: float
    changed_at: datetime
    changed_by: str
    reason: str


class ModelChange(BaseModel):
    """What a bundle became, when, by whom, and why."""

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    status: ModelStatus
    changed_at: datetime
    changed_by: str
    reason: str


def choose_bundle(home: Home, warehouse: Database, path: Path | None) -> Bundle:
    """The bundle in `path`, else the champion, else the newest that was trained here.

    Raises:
        BundleError: none was trained here, or it is not whole.
    """
    if path:
        return open_bundle(path.expanduser().resolve())
    champion = find_champion(warehouse)
    return open_bundle(home.models / champion) if champion else newest_bundle(home, warehouse)


def newest_bundle(home: Home, warehouse: Database) -> Bundle:
    """The bundle whose training was asked for last.

    Raises:
        BundleError: none was trained here, or it is not whole.
    """
    newest = warehouse.rows("models/newest")
    if not newest:
        raise BundleError(
            f"{home.path}: no model has been trained here yet; run `deeprec train` first, or "
            "name a bundle folder"
        )
    ((bundle_id,),) = newest
    return open_bundle(home.models / bundle_id)


def find_champion(warehouse: Database) -> str | None:
    """The id of the bundle that scores, where one was promoted."""
    found = warehouse.rows("models/champion")
    return str(found[0][0]) if found else None


def find_champion_before(warehouse: Database) -> str | None:
    """The id of the bundle that was champion before the one that is."""
    found = warehouse.rows("models/champion_before")
    return str(found[0][0]) if found else None


def find_status(warehouse: Database, bundle_id: str) -> ModelStatus | None:
    """What has become of a bundle; None where none of this name was trained here."""
    found = warehouse.rows("models/status", bundle_id=bundle_id)
    return ModelStatus(found[0][0]) if found else None


def find_unjudged(warehouse: Database, by: str) -> str | None:
    """The id of the bundle trained last, where `by` trained it and nothing has become of it yet."""
    for newest in read_registry(warehouse)[:1]:
        if (newest.status, newest.changed_by) == (ModelStatus.CANDIDATE, by):
            return newest.bundle_id
    return None


def record_status(
    warehouse: Database, bundle_id: str, status: ModelStatus, by: str, reason: str
) -> None:
    """Enter what has become of a bundle, by whom and why."""
    warehouse.run(
        "models/record_change",
        bundle_id=bundle_id,
        status=status.value,
        changed_at=datetime.now(UTC).replace(tzinfo=None),
        changed_by=by,
        reason=reason,
    )


def make_champion(warehouse: Database, bundle_id: str, by: str, reason: str) -> None:
    """Have this bundle score from now on; the champion so far retires. In a transaction."""
    champion = find_champion(warehouse)
    if champion and champion != bundle_id:
        after = f"after {bundle_id} became champion"
        record_status(warehouse, champion, ModelStatus.RETIRED, by, after)
    record_status(warehouse, bundle_id, ModelStatus.CHAMPION, by, reason)


def read_registry(warehouse: Database) -> tuple[RegisteredModel, ...]:
    """Every bundle trained here, newest first."""
    rows = warehouse.table("models/registry").to_pylist()
    return tuple(RegisteredModel.model_validate(row) for row in rows)


def read_changes(warehouse: Database) -> tuple[ModelChange, ...]:
    """Everything that has become of bundles, in order."""
    rows = warehouse.table("models/changes").to_pylist()
    return tuple(ModelChange.model_validate(row) for row in rows)


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
    *,
    dev_groups: Sequence[Group] = (),
    by: str,
) -> None:
    """Enter a new bundle with its learning curve, its figures on dev and their breakdowns."""
    manifest = bundle.manifest
    with warehouse.transaction():
        warehouse.run(
            "models/record",
            bundle_id=manifest.bundle_id,
            fingerprint=fingerprint,
            name=manifest.name,
            split_id=manifest.split_id,
            data_digest=manifest.data_digest,
            first_train_day=manifest.first_train_day,
            last_train_day=manifest.last_train_day,
            num_train_ratings=manifest.num_train_ratings,
            seed=manifest.seed,
            device=manifest.device,
            dev_rmse=manifest.metrics.get("dev_rmse"),
            largest_difference=manifest.largest_difference,
            trained_at=manifest.trained_at.replace(tzinfo=None),
        )
        record_status(warehouse, manifest.bundle_id, ModelStatus.CANDIDATE, by, "trained")
        for member in manifest.members:
            values = member.model_dump()
            warehouse.run("models/record_member", bundle_id=manifest.bundle_id, **values)
        for epoch in epochs:
            warehouse.run("models/record_epoch", bundle_id=manifest.bundle_id, **epoch.model_dump())
        _insert_evaluations(warehouse, bundle, Part.DEV, dev, groups=dev_groups)


def record_evaluations(
    warehouse: Database,
    bundle: Bundle,
    part: Part,
    evaluations: Iterable[Evaluation],
    *,
    groups: Sequence[Group] = (),
    rankings: Iterable[Ranking] = (),
) -> None:
    """Enter what was measured of a bundle and of what stands beside it."""
    with warehouse.transaction():
        _insert_evaluations(warehouse, bundle, part, evaluations, groups=groups, rankings=rankings)


def read_epochs(warehouse: Database, bundle_id: str) -> tuple[Epoch, ...]:
    """A bundle's learning curve."""
    rows = warehouse.table("models/epochs", bundle_id=bundle_id).to_pylist()
    return tuple(Epoch.model_validate(row) for row in rows)


def read_evaluations(warehouse: Database, bundle_id: str, part: Part) -> tuple[Evaluation, ...]:
    """What was measured last of a bundle and of the floors on one part."""
    rows = warehouse.table("models/evaluations", bundle_id=bundle_id, part=part.value).to_pylist()
    return tuple(Evaluation.model_validate(row) for row in rows)


def read_groups(warehouse: Database, bundle_id: str, part: Part) -> tuple[Group, ...]:
    """The breakdowns of what was measured last of a bundle and of the floors on one part."""
    rows = warehouse.table(
        "models/evaluation_groups", bundle_id=bundle_id, part=part.value
    ).to_pylist()
    return tuple(Group.model_validate(row) for row in rows)


def read_rankings(warehouse: Database, bundle_id: str) -> tuple[RecordedRanking, ...]:
    """The lists that were looked at when a bundle was last measured, on whatever part."""
    rows = warehouse.table("models/evaluation_lists", bundle_id=bundle_id).to_pylist()
    return tuple(RecordedRanking.model_validate(row) for row in rows)


def _insert_evaluations(
    warehouse: Database,
    bundle: Bundle,
    part: Part,
    evaluations: Iterable[Evaluation],
    *,
    groups: Sequence[Group],
    rankings: Iterable[Ranking] = (),
) -> None:
    evaluation_id = {
        "bundle_id": bundle.manifest.bundle_id,
        "part": part.value,
        "evaluated_at": datetime.now(UTC).replace(tzinfo=None),
    }
    for evaluation in evaluations:
        warehouse.run(
            "models/record_evaluation",
            split_id=bundle.manifest.split_id,
            data_digest=bundle.manifest.data_digest,
            **evaluation_id,
            **evaluation.model_dump(),
        )
    if groups:
        rows = [group.model_dump(mode="json") for group in groups]
        batch = pa.Table.from_pylist(rows).append_column("place", pa.array(range(len(rows))))
        warehouse.run_with("models/record_evaluation_groups", batch, **evaluation_id)
    for ranking in rankings:
        told = evaluation_id | ranking.model_dump()
        warehouse.run("models/record_evaluation_list", **told)
