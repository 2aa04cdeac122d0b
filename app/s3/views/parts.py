"""Numbers in parameters: part numbers, and markers and page sizes in headers, with S3's errors for absurd ones."""

from __future__ import annotations

from app.domain.errors import InvalidArgument
from app.domain.multipart import PART_NUMBER_MAX

NUMBER_MAX = 2_147_483_647


def part_number(text: str) -> int:
    """A part number from 1 to 10,000. Raises: InvalidArgument."""
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= PART_NUMBER_MAX:
        return int(text)
    raise InvalidArgument(
        f"Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive",
        ArgumentName="partNumber",
        ArgumentValue=text,
    )


def whole_number(text: str | None, name: str, default: int, largest: int = NUMBER_MAX) -> int:
    """A number that is not negative, clamped to `largest`. Raises: InvalidArgument."""
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > NUMBER_MAX:
        raise InvalidArgument(
            f"Argument {name} must be an integer between 0 and {NUMBER_MAX}", ArgumentName=name, ArgumentValue=text
        )
    return min(int(text), largest)
