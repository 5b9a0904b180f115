"""The page of a night."""

from typing import TYPE_CHECKING

import pytest

from deeprec.errors import WarehouseError
from deeprec.nights.champions import list_models, promote
from deeprec.pages.night import report

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def test_a_page_opens_offline_and_escapes_what_comes_from_files(drop: "Drop") -> None:
    champion = list_models(drop.home, drop.config).champion
    assert champion is not None
    promote(drop.home, drop.config, bundle_id=champion, reason="<b>bold</b>")
    drop.add("ratings_new.csv", drop.new_ratings(0))
    _, night = drop.next()
    page = report(drop.home, drop.config).page
    text = page.read_text()
    assert page == night.page
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text
    assert "http" not in text
    assert text.count("data:image/png;base64,") >= 3
    with pytest.raises(WarehouseError, match="there was no night"):
        report(drop.home, drop.config, night="never")
