"""What DuckDB is told."""

from pydantic import Field

from deeprec.config.section import Section


class WarehouseConfig(Section):
    """How DuckDB may use the machine."""

    threads: int | None = Field(None, ge=1, description="default: all cores")
    memory_limit: str | None = Field(
        "2GB",
        pattern=r"^\d+(\.\d+)? ?([KMGT]i?B|%)$",
        description="such as 4GB; beyond it DuckDB works on disk",
    )
    lock_timeout_s: float = Field(600.0, ge=0, description="wait for another writer, in seconds")
