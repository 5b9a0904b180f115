"""Splits as values."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from deeprec.config.loading import load_config
from deeprec.errors import ConfigError
from deeprec.splits import LastKSplit, ListedSplit, RandomSplit, Split, TimeSplit


def test_a_split_is_the_same_value_only_with_the_same_definition() -> None:
    splits: list[Split] = [
        RandomSplit(),
        RandomSplit(seed=1),
        LastKSplit(),
        TypeAdapter[Split](Split).validate_python({"kind": "time", "train_through": "2005-11-30"}),
    ]
    assert len(splits) == len({split.split_id for split in splits})
    assert RandomSplit().split_id == RandomSplit(seed=0).split_id


def test_days_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="days must run"):
        load_config(
            None, ['split={kind="time", train_through="2005-11-30", dev_through="2005-01-01"}']
        )
    assert TimeSplit.model_fields["drop_unseen"].default is True


def test_a_listed_split_is_what_its_lists_say_wherever_they_lie() -> None:
    split = ListedSplit(dev=Path("a"), dev_sha256="0" * 64)
    assert split.split_id == ListedSplit(dev=Path("b"), dev_sha256="0" * 64).split_id
    others = [
        ListedSplit(dev=Path("a"), dev_sha256="1" * 64),
        ListedSplit(dev=Path("a"), dev_sha256="0" * 64, drop_unseen=True),
        ListedSplit(dev=Path("a"), dev_sha256="0" * 64, test=Path("b"), test_sha256="1" * 64),
    ]
    assert 4 == len({other.split_id for other in [split, *others]})
