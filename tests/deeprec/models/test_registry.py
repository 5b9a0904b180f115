"""Who scores, and who did before."""

from deeprec.home import Home
from deeprec.models.registry import find_champion, find_champion_before, make_champion
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse


def copy_model(warehouse: Database, name: str) -> None:
    warehouse._connection.execute(
        f"insert into models select * replace ('{name}' as bundle_id) from models limit 1"
    )


def test_the_champion_before_is_the_last_of_those_that_are_not_any_more(trained_home: Home) -> None:
    with open_warehouse(trained_home) as warehouse:
        for name in ("a", "b", "c"):
            copy_model(warehouse, name)
        found = []
        for name in ("a", "b", "c", "a"):
            make_champion(warehouse, name, "somebody", "for a test")
            found.append((find_champion(warehouse), find_champion_before(warehouse)))
    assert [("a", None), ("b", "a"), ("c", "b"), ("a", "c")] == found
