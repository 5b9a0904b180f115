"""Folders that come with the package: inside it once installed, beside it in a checkout."""

from pathlib import Path


def sql_root() -> Path:
    """The statements."""
    return _shipped(Path("sql"))


def config_root() -> Path:
    """Named configurations: experiment sets and protocols among them."""
    return _shipped(Path("deployments", "config"))


def _shipped(folder: Path) -> Path:
    package = Path(__file__).parent
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder
