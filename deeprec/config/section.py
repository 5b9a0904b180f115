"""What every section of a configuration has in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Device = Literal["auto", "cpu", "cuda"]


class Section(BaseModel):
    """Refuses keys that it does not know, and never changes."""

    # What was given stands in our own message, unless it holds a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
