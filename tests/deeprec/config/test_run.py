"""What a whole configuration needs, of dev ratings and of days."""

import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config


@pytest.mark.parametrize(
    ("overrides", "needs_dev"),
    [
        ([], False),
        (["refit=true"], True),
        (['model={kind="kernel_ridge"}'], False),
        (['model={kind="blend", members=[{name="one"}, {name="two"}]}'], True),
    ],
)
def test_a_blend_and_a_refit_need_dev_ratings(overrides: list[str], needs_dev: bool) -> None:
    assert needs_dev == load_config(None, overrides).needs_dev


@pytest.mark.parametrize(("kinds", "expected"), [(["autoencoder"], False), (["rrn"], True)])
def test_a_blend_needs_days_where_a_member_does(kinds: list[str], expected: bool) -> None:
    others = [{"name": kind, "model": {"kind": kind}} for kind in kinds]
    members = [{"name": "other", "model": {"kind": "kernel_ridge"}}, *others]
    blend = Config.model_validate({"model": {"kind": "blend", "members": members}})
    alone = Config.model_validate({"model": {"kind": kinds[0]}})
    assert expected == blend.needs_days
    assert expected == alone.needs_days
