"""Whether a bundle is one for the ratings of a warehouse."""

from deeprec.errors import BundleError
from deeprec.models.bundles import Bundle
from deeprec.models.prediction import check_vocabulary
from deeprec.ratings import describe_scale
from deeprec.warehouse.database import Database


def check_fits(bundle: Bundle, warehouse: Database, digest: str) -> None:
    """Refuse a bundle that was trained on other movies, or on ratings of another scale.

    Args:
        bundle: to score with.
        warehouse: whose movies and ratings are to be scored.
        digest: of those ratings; a bundle trained on these very ones has their scale.

    Raises:
        BundleError: it was.
    """
    movies = warehouse.table("vectors/movies")
    check_vocabulary(bundle, movies["movie_id"].to_numpy(), movies["title"].to_pylist())
    _check_scale(bundle, warehouse, digest)


def _check_scale(bundle: Bundle, warehouse: Database, digest: str) -> None:
    """Refuse a bundle that was trained on ratings of another scale."""
    scale = bundle.manifest.scale
    minimum, maximum, _, declared = warehouse.row("vectors/scale")
    same = (minimum, maximum) == (scale.minimum, scale.maximum)
    inside = scale.minimum <= minimum and maximum <= scale.maximum
    if same or bundle.manifest.data_digest == digest or (inside and not declared):
        return
    raise BundleError(
        f"{bundle.path}: predicts on the scale {scale}, the ratings here stand on "
        f"{describe_scale(minimum, maximum, None)}; score with a bundle trained on these ratings"
    )
