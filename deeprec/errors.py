"""The errors a user can mend: each says what was found, where, what was expected, what to do."""


class DeeprecError(Exception):
    """Base of every error that is the input's or the environment's, not ours.

    The CLI prints its message without a traceback and exits with status 1.
    """


class ConfigError(DeeprecError):
    """A configuration file, key or value that cannot be used."""


class SourceError(DeeprecError):
    """A rating source that cannot be read, or has too many unusable rows; nothing was changed."""


class WarehouseError(DeeprecError):
    """The warehouse is missing, held by another process, or lacks what a stage needs."""


class HeldError(WarehouseError):
    """Another process holds the warehouse, or a lock of a home; it may be free again."""


class SplitError(DeeprecError):
    """A split that these ratings do not allow."""


class TrainingError(DeeprecError):
    """Training cannot start or has diverged."""


class ExportError(DeeprecError):
    """The exported graph does not agree with the model it was made from."""


class BundleError(DeeprecError):
    """A bundle that is incomplete, altered, or of another set of movies."""


class DeviceError(DeeprecError):
    """A device was asked for that cannot be used here."""


class StoreError(DeeprecError):
    """A place for objects that refuses, or does not hold what was put there."""


class UnreachableError(StoreError):
    """A store that does not answer; it may do so again."""


class UnknownIdError(DeeprecError):
    """A user or a movie was asked for that is not there."""


class CheckError(DeeprecError):
    """A check that must hold does not; nothing was published."""


class MetricError(DeeprecError):
    """A metric over nothing, or with predictions missing."""
