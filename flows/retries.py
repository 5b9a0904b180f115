"""When a task that failed is tried again; how often and how soon is said at each task."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from deeprec.errors import DeeprecError, UnreachableError


def unless_mendable(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again may help: what a person must mend stays as it is."""
    del task, task_run
    error = state.result(raise_on_failure=False)
    return isinstance(error, UnreachableError) or not isinstance(error, DeeprecError)
