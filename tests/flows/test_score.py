"""score-flow goes the way of `deeprec score`; no server needed."""

import pytest

from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from flows.parameters import Project
from flows.score import predict


def test_a_home_that_is_not_there_is_refused_and_not_made(home: Home) -> None:
    with pytest.raises(WarehouseError, match="has no warehouse"):
        predict.fn(Project(home, Config()))
    assert not home.path.exists()
