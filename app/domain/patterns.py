"""Patterns of a policy: `*` is any text, `?` one character, `${name}` a value of the request.

`${*}`, `${?}` and `${$}` stand for the characters themselves, and `${name, 'text'}` has a text for requests that lack
the value. Source: "IAM JSON policy elements: Resource" and "Variables and tags", AWS IAM user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

# The values of a request's condition key, by its name; None where the request has none.
Values = Callable[[str], tuple[str, ...] | None]


def no_values(_: str) -> None:
    """Of no request: what is asked then depends on none."""
    return


_VARIABLE = re.compile(r"\$\{([^{}]+)\}")
_WITH_DEFAULT = re.compile(r"\s*([^,\s]+)\s*,\s*'([^']*)'\s*")
_LITERALS = frozenset("*?$")


class Variable(NamedTuple):
    name: str
    default: str | None


class Pattern:
    """One pattern, read once. `has_variables` False: it needs no request to be matched."""

    __slots__ = ("_glob", "_pieces", "has_variables", "text")

    def __init__(self, text: str, *, with_variables: bool = False) -> None:
        self.text = text
        self._pieces = _pieces(text) if with_variables else (text,)
        self.has_variables = any(isinstance(piece, Variable) for piece in self._pieces)
        self._glob = None if self.has_variables else Glob(_tokens(self._pieces, no_values) or [])

    def matches(self, text: str, values: Values) -> bool:
        """False too where a variable has no value in this request, or several."""
        if self._glob is not None:
            return self._glob.matches(text)
        tokens = _tokens(self._pieces, values)
        return tokens is not None and Glob(tokens).matches(text)

    def expanded(self, values: Values) -> str | None:
        """The text with its variables' values, wildcards taken as they stand; None where one has no value."""
        if not self.has_variables:
            return "".join(piece for piece in self._pieces if isinstance(piece, str))
        parts = [piece if isinstance(piece, str) else _value(piece, values) for piece in self._pieces]
        return None if None in parts else "".join(part for part in parts if part is not None)


ANY, ONE = object(), object()


class Glob:
    """Literal characters, ANY and ONE. Matching takes the product of both lengths at most, whatever the pattern is."""

    __slots__ = ("_runs",)

    def __init__(self, tokens: Sequence[object]) -> None:
        runs: list[list[str]] = [[]]
        for token in tokens:
            if token is ANY:
                runs.append([])
            else:
                runs[-1].append("." if token is ONE else re.escape(str(token)))
        # (characters, expression) of what stands between two ANYs
        self._runs = [(len(run), re.compile("".join(run), re.DOTALL)) for run in runs]

    def matches(self, text: str) -> bool:
        (head_chars, head), *rest = self._runs
        if not rest:
            return head.fullmatch(text) is not None
        tail_chars, tail = rest.pop()
        end = len(text) - tail_chars
        if head_chars > end or head.match(text) is None or tail.match(text, end) is None:
            return False
        # The first place of each run is the best one: it leaves most to those behind.
        at = head_chars
        for _, run in rest:
            found = run.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True


def _pieces(text: str) -> tuple[str | Variable, ...]:
    pieces: list[str | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        if found.start() > at:
            pieces.append(text[at : found.start()])
        pieces.append(_variable(found.group(1)))
        at = found.end()
    if at < len(text) or not pieces:
        pieces.append(text[at:])
    return tuple(pieces)


def _variable(inner: str) -> Variable:
    if inner in _LITERALS:
        return Variable("", inner)
    with_default = _WITH_DEFAULT.fullmatch(inner)
    if with_default is not None:
        return Variable(with_default.group(1), with_default.group(2))
    return Variable(inner.strip(), None)


def _tokens(pieces: Sequence[str | Variable], values: Values) -> list[object] | None:
    """What a glob is made of. A variable's value is literal: nobody widens a policy by his name."""
    tokens: list[object] = []
    for piece in pieces:
        if isinstance(piece, str):
            tokens.extend(ANY if char == "*" else ONE if char == "?" else char for char in piece)
            continue
        value = _value(piece, values)
        if value is None:
            return None
        tokens.extend(value)
    return tokens


def _value(variable: Variable, values: Values) -> str | None:
    found = values(variable.name) if variable.name else None
    return found[0] if found is not None and len(found) == 1 else variable.default
