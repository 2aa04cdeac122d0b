"""Which back end a bucket's new bytes go to, where there are several.

The bucket's own document "storage" ({"backend": name}), which a location constraint or a move has set; else the first
back end with a pattern for the bucket's name, in the order of the configuration; else the one that is the default; else
the main one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

from app.domain.errors import ServiceUnavailable
from app.domain.types import Bucket
from app.storage.base import MAIN, ObjectStorage

DOCUMENT = "storage"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the configuration says of a named back end. `patterns` are those of a shell: *, ? and [seq]."""

    name: str
    patterns: Sequence[str] = ()
    location: str = ""
    is_default: bool = False


class Placement:
    def __init__(self, storage: ObjectStorage, rules: Sequence[Rule]) -> None:
        """`storage` has the back ends that `rules` name as its members."""
        self._members: Mapping[str, ObjectStorage] = storage.members()
        self._patterns = [
            (re.compile(translate(pattern)).match, rule.name) for rule in rules for pattern in rule.patterns
        ]
        self._locations = {rule.location: rule.name for rule in rules if rule.location}
        self.default = next((rule.name for rule in rules if rule.is_default), MAIN)

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def at_location(self, location: str) -> str | None:
        """The back end that a location constraint means, if it means one."""
        return self._locations.get(location)

    def name_for(self, bucket: Bucket) -> str:
        """A name that is of no back end any more, perhaps, where the bucket's document has it."""
        text = bucket.documents.get(DOCUMENT)
        if text is not None:
            return _named_in(text)
        return next((name for matches, name in self._patterns if matches(bucket.name)), self.default)

    def storage_for(self, bucket: Bucket) -> ObjectStorage:
        """Raises: ServiceUnavailable, where the bucket's back end is not configured."""
        name = self.name_for(bucket)
        storage = self._members.get(name)
        if storage is None:
            raise ServiceUnavailable(f"The storage back end {name}, which this bucket is on, is not configured.")
        return storage


def document(name: str) -> str:
    """What a bucket that is on this back end has as its document."""
    return json.dumps({"backend": name}, separators=(",", ":"))


def _named_in(text: str) -> str:
    name: str = json.loads(text)["backend"]
    return name


__all__ = ["DOCUMENT", "MAIN", "Placement", "Rule", "document"]
