"""What one field of a line says, read exactly; the fast parse of whole chunks is elsewhere."""

import re
from datetime import UTC, date, datetime, timedelta

_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,19})(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"\+?([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - moments are kept as UTC without a zone
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**63 - 1
LAST_SECOND = 253_402_300_799  # 9999-12-31 23:59:59; milliseconds taken for seconds lie beyond


def clean(field: str) -> str:
    """The field without the blanks and the one pair of quotes that some writers put around it."""
    field = field.strip()
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].strip()
    return field


def integer(field: str) -> int | None:
    """The whole number that fits 64 bits, or None."""
    found = _INTEGER.fullmatch(field)
    if not found:
        return None
    value = int(found[1] + found[2])
    return value if _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER else None


def number(field: str) -> float | None:
    """The decimal number, or None; `nan` and `inf` are none."""
    return float(field) if _NUMBER.fullmatch(field) else None


def unix_moment(field: str) -> int | None:
    """Microseconds since 1970 of a count of seconds, or None where no year 1970 to 9999 has it."""
    seconds = integer(field)
    return seconds * 1_000_000 if seconds is not None and 0 <= seconds <= LAST_SECOND else None


def iso_moment(field: str) -> int | None:
    """Microseconds since 1970 of an ISO date or timestamp (UTC unless it says), or None."""
    try:
        day = _DAY.fullmatch(field)
        if day:
            moment = datetime.combine(date(*map(int, day.groups())), datetime.min.time())
        else:
            moment = datetime.fromisoformat(field)
        if moment.tzinfo:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1)
