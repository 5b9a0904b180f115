"""Reading a configuration: TOML, overrides, and errors that name the key that was meant."""

import difflib
import tomllib
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from deeprec.config.run import Config
from deeprec.errors import ConfigError
from deeprec.places import SecretInUrlError

_DEFAULT_KINDS = {"split": "random", "model": "autoencoder"}
_KINDS = {
    "split": ("random", "time", "last_k", "file", "listed"),
    "model": ("autoencoder", "kernel_ridge", "rrn", "blend"),
}
_OF_A_PROTOCOL = ("split", "protocol")


def load_config(
    path: Path | None = None, overrides: Sequence[str] = (), protocol: Path | None = None
) -> Config:
    """The configuration in a TOML file (defaults without one) with dotted overrides applied.

    Args:
        path: a TOML file whose tables are the sections of `Config`.
        overrides: `section.key=value`; the value is read as TOML, else taken as text.
        protocol: a TOML file of a protocol, whose sections replace those of `path`.

    Raises:
        ConfigError: an unreadable file, an unknown key, or a value out of range, named.
    """
    values = _read_toml(path) if path else {}
    if protocol:
        values = _without(values, _OF_A_PROTOCOL) | _read_protocol(protocol)
    for override in overrides:
        _apply(values, override)
    _default_kinds(values)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        files = " with ".join(str(file) for file in (path, protocol) if file)
        raise ConfigError(_explain(error, files or "configuration")) from error


def _read_protocol(path: Path) -> dict[str, Any]:
    """The sections of a protocol, after a check that it decides no more than a protocol does."""
    values = _read_toml(path)
    others = _without(values, _OF_A_PROTOCOL)
    if others or "split" not in values:
        found = ", ".join(values) or "nothing"
        raise ConfigError(f"{path}: expected the sections split and protocol alone, found {found}")
    return values


def _without(values: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as Notepad writes it
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such configuration file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in place."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: expected section.key=value")
    *sections, name = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: {section} is a value, not a section")
    try:
        values[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[name] = text


def _default_kinds(values: dict[str, Any]) -> None:
    """Name the default's kind where a section names none: a part of it, like any other key."""
    for section, kind in _DEFAULT_KINDS.items():
        if isinstance(values.get(section), dict):
            values[section].setdefault("kind", kind)
    model = values.get("model")
    members = model.get("members") if isinstance(model, dict) else None
    for member in members if isinstance(members, list) else ():
        if isinstance(member, dict):
            _default_kinds(member)


def _explain(error: ValidationError, where: str) -> str:
    """One line a problem, each naming its key, with what may have been meant by a wrong one."""
    lines = []
    for problem in error.errors():
        key, said = _path(problem["loc"]), problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: {key}: {_wrong_key(problem['loc'])}")
        elif not key or isinstance(problem.get("ctx", {}).get("error"), SecretInUrlError):
            lines.append(f"{where}: {said}")
        else:
            lines.append(f"{where}: {key}: {said} (got {problem['input']!r})")
    return "\n".join(lines)


def _wrong_key(location: tuple[int | str, ...]) -> str:
    """Which kinds of its section have the key, where any has it, else the nearest that is known."""
    kinds_of = defaultdict(set)
    for known, kind in _keys(Config):
        kinds_of[known].add(kind)
    key = _path(tuple(part for part in location if not isinstance(part, int)))
    if key in kinds_of:
        section, present = key.rpartition(".")[0], location[-2]
        others = " or ".join(f'"{other}"' for other in sorted(kinds_of[key]))
        return (
            f'goes with {section}.kind = {others}, not with "{present}"; leave it out, or set the '
            f'whole section, as {section}={{kind="{present}"}}'
        )
    near = difflib.get_close_matches(key, kinds_of, n=1)
    return "unknown key" + (f"; did you mean {near[0]}?" if near else "")


def _path(location: tuple[int | str, ...]) -> str:
    """A key as people write it: without the kind that pydantic puts behind a union's name."""
    parts = [
        str(part)
        for place, part in enumerate(location)
        if not place or part not in _KINDS.get(str(location[place - 1]), ())
    ]
    return ".".join(parts)


def _keys(model: type[BaseModel], prefix: str = "", kind: str = "") -> Iterator[tuple[str, str]]:
    """Every key that there is, and the kind of its section that has it, where there are kinds."""
    for name, field in model.model_fields.items():
        yield prefix + name, kind
        for section in _sections(field.annotation):
            named = section.model_fields.get("kind")
            yield from _keys(section, f"{prefix}{name}.", named.default if named else "")


def _sections(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - whatever a type can be
    """The models that a field may hold: one, those of a union, or a tuple's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
