"""Why a line cannot be used, and how its text is kept; decides about no line itself."""

from enum import StrEnum

LONGEST_TEXT = 1000


class Reason(StrEnum):
    """Why a row was refused; the values are stored and do not change."""

    NOT_A_NUMBER = "not_a_number"
    MISSING_VALUE = "missing_value"
    OFF_SCALE = "off_scale"
    UNKNOWN_DATE = "unknown_date"
    BEFORE_HEADER = "before_header"
    WRONG_COLUMN_COUNT = "wrong_column_count"
    UNDECODABLE = "undecodable"


def printable(line: bytes) -> str:
    r"""The line as text that any tool can show: bad bytes as `\xff`, cut at `LONGEST_TEXT`."""
    text = line[:LONGEST_TEXT].rstrip(b"\r").decode("utf-8", errors="backslashreplace")
    return text.replace("\0", "\\x00")[:LONGEST_TEXT]
