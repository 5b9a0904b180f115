"""When a stage that failed as a task is tried again."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from deeprec.errors import DeeprecError, UnreachableError

_Told = ParamSpec("_Told")
_Report = TypeVar("_Report")


def unless_mendable(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again may help: what a person must mend stays as it is."""
    del task, task_run
    error = state.result(raise_on_failure=False)
    return isinstance(error, UnreachableError) or not isinstance(error, DeeprecError)


def stage(
    name: str, retry_after_s: float
) -> Callable[[Callable[_Told, _Report]], Task[_Told, _Report]]:
    """Makes a function a task of this name, which is tried twice more where that may help."""
    return task(
        name=name,
        retries=2,
        retry_delay_seconds=retry_after_s,
        retry_condition_fn=unless_mendable,
        cache_policy=NO_CACHE,
    )
