"""Which failures are worth another try."""

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from deeprec.errors import ConfigError, DeeprecError, StoreError, UnreachableError
from flows.retries import stage, unless_mendable


def do_nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError("disk full"), True),
        (RuntimeError("out of memory"), True),
        (ConfigError("no such file"), False),
        (DeeprecError("anything a person must mend"), False),
        (StoreError("no such bucket"), False),
        (UnreachableError("it does not answer"), True),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, again: bool) -> None:
    task = Task(do_nothing)
    task_run = TaskRun(task_key="do_nothing", dynamic_key="0")
    assert again == unless_mendable(task, task_run, Failed(data=error))


def test_a_stage_is_tried_three_times_and_its_result_is_never_taken_from_another_run() -> None:
    made = stage("train", retry_after_s=60)(do_nothing)
    assert ("train", 2) == (made.name, made.retries)
    assert unless_mendable is made.retry_condition_fn
    assert NO_CACHE == made.cache_policy
