"""Parsing of request documents that cannot hurt: a small tree, built by handlers that stop at the first oddity.

The parser is expat with our own handlers, not a library that builds a tree first: a document type declaration is
refused where it begins, so there are no entities, no external files and no expansion to guard against; nesting and
the number of elements are bounded while they are counted; and only UTF-8 is read, whatever the document declares.
"""

from __future__ import annotations

from xml.parsers import expat

from app.domain.errors import MalformedXML, MaxMessageLengthExceeded

DEPTH_MAX = 16
ELEMENTS_MAX = 2_000  # of a document that is no long list
CHILDREN_MAX = 10_100  # of one element; the longest list is of 10,000 parts, and something may stand beside it
TEXT_MAX = 65_536  # characters in one element; the longest that means anything is a key of 1,024 bytes
_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


class Element:
    """An element by its local name. `text` is exactly what stood in it, blanks included; `type` its xsi:type.

    An element with children has no text.
    """

    __slots__ = ("children", "name", "text", "type")

    def __init__(self, name: str, type_: str) -> None:
        self.name = name
        self.type = type_
        self.text = ""
        self.children: list[Element] | tuple[()] = ()  # a list only where there are some: most elements are leaves

    def add(self, child: Element) -> None:
        if isinstance(self.children, list):
            self.children.append(child)
        else:
            self.children = [child]

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def child(self, name: str) -> Element | None:
        """The one child of that name. Raises: MalformedXML when there are several: which one would count?"""
        found = None
        for child in self.children:
            if child.name == name:
                if found is not None:
                    raise MalformedXML
                found = child
        return found

    def require(self, name: str) -> Element:
        child = self.child(name)
        if child is None:
            raise MalformedXML
        return child

    def word(self, name: str) -> str | None:
        """The text of the one child of that name without blanks around it; None without such a child."""
        child = self.child(name)
        return None if child is None else child.text.strip()


def parse(document: bytes, root_name: str, max_bytes: int, max_elements: int = ELEMENTS_MAX) -> Element:
    """The root element, which must bear that name, in any namespace or none.

    Raises: MaxMessageLengthExceeded, MalformedXML.
    """
    if len(document) > max_bytes:
        raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(max_bytes))
    # expat follows a byte order mark into UTF-16 whatever it was told; every such document has NULs, and no XML has.
    if b"\0" in document:
        raise MalformedXML
    builder = _Builder(max_elements)
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.XmlDeclHandler = builder.declaration
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    try:
        parser.Parse(document, True)
    except expat.ExpatError:
        raise MalformedXML from None
    if builder.root is None or builder.root.name != root_name:
        raise MalformedXML
    return builder.root


class _Builder:
    """The open elements and the tree below the first; what is under way raises MalformedXML straight through expat."""

    def __init__(self, max_elements: int) -> None:
        self._left = max_elements
        self.root: Element | None = None
        self._open: list[Element] = []

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise MalformedXML

    def doctype(self, *_: object) -> None:
        raise MalformedXML

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0 or len(self._open) >= DEPTH_MAX:
            raise MalformedXML
        element = Element(_local(name), _type(attributes) if attributes else "")
        if self._open:
            parent = self._open[-1]
            parent.text = ""  # blanks between children would pile up
            if len(parent.children) >= CHILDREN_MAX:
                raise MalformedXML
            parent.add(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, name: str) -> None:
        element = self._open.pop()
        if element.children:
            element.text = ""

    def text(self, text: str) -> None:
        """Long text comes in pieces."""
        element = self._open[-1]
        element.text += text
        if len(element.text) > TEXT_MAX:
            raise MalformedXML


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _type(attributes: dict[str, str]) -> str:
    for name, value in attributes.items():
        if _local(name) == "type":
            return value.strip()
    return ""
