from pathlib import Path

import pytest

from deeprec.config import Config, load_config

FILES = sorted((Path(__file__).parents[2] / "deployments" / "config").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_named_configuration_is_valid_and_named_as_its_file(file: Path) -> None:
    assert file.stem == load_config(file).name


def test_the_posters_configuration_is_the_default() -> None:
    poster = next(file for file in FILES if file.stem == "poster")
    assert Config() == load_config(poster)
