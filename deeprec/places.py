"""Places where objects are put and got by name: a folder, or a prefix of an S3-compatible store.

Knows neither runs nor shards. Credentials and the store's address are the environment's (`AWS_*`)
or fsspec's configuration's; no argument, and so no error or log line, ever holds one.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from deeprec.errors import ConfigError, StoreError, UnreachableError

_S3 = "s3://"
_BUCKET_AND_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._=-]+)*")
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
# A store that refuses connections is told of after three seconds, a silent one after a minute.
_PATIENCE = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}


class SecretInUrlError(ValueError):
    """A URL that holds more than a place; nobody is to repeat it."""


class Place(Protocol):
    """Objects by their names, which are paths relative to it."""

    def prepare(self) -> None:
        """Have the place ready to put into.

        Raises:
            StoreError: it cannot be used.
        """

    def put(self, name: str, content: bytes) -> None:
        """Have an object there whole, in the place of any other of its name, or not at all."""

    def get(self, name: str) -> bytes:
        """A whole object; FileNotFoundError where there is none."""

    def names(self, under: str = "") -> list[str]:
        """The objects and folders right under a folder; none where there is no such folder."""

    def remove(self, name: str) -> None:
        """Have no object of a name."""

    def clear(self) -> None:
        """Remove every object, and the place where it is a folder."""

    def url(self, name: str) -> str:
        """Where an object is, as DuckDB understands it."""

    def within(self, folder: str) -> "Place":
        """The place that a folder of this one is."""


def checked_location(location: str) -> str:
    """A place's one spelling: an absolute path or `s3://BUCKET/PREFIX`; empty stays empty.

    Raises:
        SecretInUrlError: it has a part that could be a password.
        ValueError: it is no place of a kind that is known.
    """
    if not location or Path(location).is_absolute():
        return location and str(Path(location))
    if set("@?#") & set(location):
        raise SecretInUrlError(
            "expected s3://BUCKET/PREFIX alone; credentials come from the environment, as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and never stand in a URL"
        )
    parts = urlsplit(location)
    if parts.scheme == "file" and not parts.netloc:
        return checked_location(unquote(parts.path))
    if parts.scheme != "s3":
        raise ValueError("expected an absolute path, file:///PATH or s3://BUCKET/PREFIX")
    if not _BUCKET_AND_PREFIX.fullmatch(location.rstrip("/")):
        raise ValueError("expected s3://BUCKET/PREFIX of letters, digits and `.`, `_`, `=`, `-`")
    return location.rstrip("/")


def open_place(location: str) -> Place:
    """The place of a location that has been checked; nothing is asked of a store yet."""
    return ObjectPlace(location) if is_store(location) else LocalPlace(Path(location))


def is_store(location: str) -> bool:
    """Whether a location is an object store's."""
    return location.startswith(_S3)


@dataclass(frozen=True)
class LocalPlace:
    """A folder of a file system that all who use it see."""

    folder: Path

    def prepare(self) -> None:
        """See `Place`; once the folder is gone, nothing can be put into it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be made: {error}") from error

    def put(self, name: str, content: bytes) -> None:
        """See `Place`; safely on disk before its name is."""
        file = self.folder / name
        for parent in list(PurePosixPath(name).parents)[-2::-1]:
            (self.folder / parent).mkdir(exist_ok=True)
        partial = file.with_name(f".{file.name}.{uuid4().hex}")
        with partial.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)

    def get(self, name: str) -> bytes:
        """See `Place`."""
        return (self.folder / name).read_bytes()

    def names(self, under: str = "") -> list[str]:
        """See `Place`."""
        folder = self.folder / under
        return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []

    def remove(self, name: str) -> None:
        """See `Place`."""
        (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """See `Place`."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """See `Place`."""
        return str(self.folder / name)

    def within(self, folder: str) -> "LocalPlace":
        """See `Place`."""
        return LocalPlace(self.folder / folder)


@dataclass(frozen=True)
class ObjectPlace:
    """A prefix of a bucket; a put is one request, or one that completes several."""

    location: str

    def prepare(self) -> None:
        """See `Place`; a bucket is not ours to make."""
        bucket = _S3 + urlsplit(self.location).netloc
        with _asking(bucket) as store:
            try:
                store.info(bucket)
            except FileNotFoundError as error:
                raise StoreError(f"{bucket}: no such bucket; make it, or name another") from error

    def put(self, name: str, content: bytes) -> None:
        """See `Place`."""
        url = self.url(name)
        with _asking(url) as store:
            try:
                store.pipe_file(url, content)
            except FileNotFoundError as error:
                raise StoreError(f"{url}: its bucket is gone; make it again") from error

    def get(self, name: str) -> bytes:
        """See `Place`."""
        with _asking(self.url(name)) as store:
            return bytes(store.cat_file(self.url(name)))

    def names(self, under: str = "") -> list[str]:
        """See `Place`."""
        url = self.url(under).rstrip("/")
        with _asking(url) as store:
            try:
                found = store.ls(url, detail=False)
            except FileNotFoundError:
                return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with _asking(self.url(name)) as store:
            store.rm_file(self.url(name))

    def clear(self) -> None:
        """See `Place`."""
        with _asking(self.location) as store:
            try:
                store.rm(self.location, recursive=True)
            except FileNotFoundError:
                return

    def url(self, name: str) -> str:
        """See `Place`."""
        return f"{self.location}/{name}"

    def within(self, folder: str) -> "ObjectPlace":
        """See `Place`."""
        return ObjectPlace(self.url(folder))


def open_store() -> Any:  # noqa: ANN401 - fsspec has no types
    """The S3 file system of this process, which asks nothing of the store before it is used.

    Raises:
        ConfigError: the extra `s3` is not installed, or an endpoint's URL holds a password.
    """
    return _open_store(os.getpid())  # connections do not survive a fork


@lru_cache(maxsize=1)
def _open_store(process: int) -> Any:  # noqa: ANN401 - fsspec has no types
    del process
    for variable in _ENDPOINTS:
        if "@" in os.environ.get(variable, ""):
            raise ConfigError(
                f"{variable}: holds a user or a password; leave them out, credentials are "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
    try:
        from s3fs import S3FileSystem  # noqa: PLC0415 - of the extra `s3`
    except ImportError as error:
        raise ConfigError(
            f"an s3:// URL needs what is not installed ({error}): pip install 'deeprec[s3]'"
        ) from error
    store = S3FileSystem(
        config_kwargs=_PATIENCE, use_listings_cache=False, skip_instance_cache=True
    )
    store.retries = 1  # botocore tries again by itself
    return store


@contextmanager
def _asking(url: str) -> Iterator[Any]:
    """The store; what it says to us in other words, which hold nothing but the URL.

    Raises:
        FileNotFoundError: there is no such object, or no such bucket.
        StoreError: it refuses.
        UnreachableError: it does not answer.
    """
    store = open_store()
    from botocore.exceptions import BotoCoreError, NoCredentialsError  # noqa: PLC0415 - as s3fs

    try:
        yield store
    except FileNotFoundError:
        raise
    except NoCredentialsError as error:
        raise StoreError(
            f"{url}: there are no credentials here; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, in this process's environment"
        ) from error
    except PermissionError as error:
        raise StoreError(
            f"{url}: the store does not let these credentials do this; allow them to list, read, "
            "write and remove under that prefix, or give this process others"
        ) from error
    except (BotoCoreError, OSError) as error:
        raise UnreachableError(
            f"{url}: the store does not answer as it should ({type(error).__name__}); look at it "
            "and at AWS_ENDPOINT_URL, then run this again: what is done is kept"
        ) from error
