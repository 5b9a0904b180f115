"""A run's inputs at the place that its workers share: put there when it begins, fetched by each.

    vectors/00007.parquet   one a shard: a worker reads those that it scores
    movies.parquet          as in the run's folder
    side/*.npy              as in the run's folder
    bundle/                 the whole bundle
    inputs.json             the SHA-256 of each of these
    plan.json               last: with it the run is there

Knows neither plans nor models: which files are a run's inputs it is told.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa

from deeprec.errors import StoreError
from deeprec.places import Place
from deeprec.scoring.shard_files import as_parquet, from_parquet

PLAN = "plan.json"
_INPUTS = "inputs.json"
_VECTORS = "vectors"
_AT_ONCE = 8  # objects on their way: a put waits for the store, not for this machine


def deliver(
    place: Place,
    plan: str,
    files: Mapping[str, Path],
    vectors: Callable[[int], pa.Table],
    num_shards: int,
) -> None:
    """Put a run's inputs where its workers are told to look; safe to do again.

    Args:
        place: the run's own.
        plan: as JSON.
        files: by the names that they get there.
        vectors: those of a shard's users, by its number.
        num_shards: how many there are.
    """

    def of_shard(shard: int) -> bytes:
        return as_parquet(vectors(shard))

    contents: dict[str, Callable[[], bytes]] = {
        **{name: file.read_bytes for name, file in files.items()},
        **{_vectors_of(shard): partial(of_shard, shard) for shard in range(num_shards)},
    }
    with ThreadPoolExecutor(_AT_ONCE) as workers:
        digests = dict(workers.map(partial(_put, place), contents.items()))
    place.put(_INPUTS, json.dumps(digests, indent=2).encode())
    place.put(PLAN, plan.encode())


def withdraw(place: Place) -> None:
    """Remove a run's inputs, once nobody needs them; safe to do again."""
    place.remove(PLAN)  # first: now nobody begins a shard any more
    try:
        names = json.loads(place.get(_INPUTS))
    except FileNotFoundError:
        return
    with ThreadPoolExecutor(_AT_ONCE) as workers:
        list(workers.map(place.remove, names))
    place.remove(_INPUTS)


def fetch(place: Place, folder: Path) -> None:
    """Have all inputs but the vectors in a folder of this machine, after a look at their digests.

    Raises:
        StoreError: one is not what was put there.
    """
    content = _get(place, _INPUTS)
    (folder / _INPUTS).write_bytes(content)
    for name, digest in json.loads(content).items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise StoreError(f"{place.url(_INPUTS)}: names {name}, which is no input of a run")
        if path.parts[0] != _VECTORS:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_checked(place, name, digest))


def fetch_vectors(place: Place, folder: Path, shard: int) -> pa.Table:
    """The vectors of a shard's users; `folder` is one that `fetch` has filled.

    Raises:
        StoreError: they are not what was put there.
    """
    digests = json.loads((folder / _INPUTS).read_bytes())
    return from_parquet(_checked(place, _vectors_of(shard), digests[_vectors_of(shard)]))


def _put(place: Place, named: tuple[str, Callable[[], bytes]]) -> tuple[str, str]:
    """Put an object; its name and digest."""
    name, read = named
    content = read()
    place.put(name, content)
    return name, hashlib.sha256(content).hexdigest()


def _checked(place: Place, name: str, digest: str) -> bytes:
    content = _get(place, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(
            f"{place.url(name)}: is not what was put there; start scoring again, which puts it "
            "there anew"
        )
    return content


def _get(place: Place, name: str) -> bytes:
    try:
        return place.get(name)
    except FileNotFoundError as error:
        raise StoreError(
            f"{place.url(name)}: is gone; the run is over, or somebody has removed it: start "
            "scoring again"
        ) from error


def _vectors_of(shard: int) -> str:
    return f"{_VECTORS}/{shard:05}.parquet"
