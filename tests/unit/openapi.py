"""The committed OpenAPI document, taken apart for the tests: operations, parameters, and the XML that schemas stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import yaml

SCHEMA = Path(__file__).parents[2] / "schemas" / "s3-api.openapi.yaml"
METHODS = ("get", "head", "put", "post", "delete")
COPY_HEADER = "x-amz-copy-source"

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Documented:
    """One operation. `selector` is what stands behind the "?" of its path's key, `parameters` are resolved."""

    name: str
    method: str
    path: str
    selector: str
    is_copy: bool
    parameters: tuple[Node, ...]
    node: Node

    def named(self, place: str) -> dict[str, Node]:
        return {parameter["name"]: parameter for parameter in self.parameters if parameter["in"] == place}

    def response(self, status: int) -> Node | None:
        """The response that is written down for this very status."""
        found = self.node["responses"].get(str(status))
        return None if found is None else resolved(found)


@cache
def document() -> Any:
    return yaml.load(SCHEMA.read_bytes(), yaml.CSafeLoader)


def operations() -> dict[str, Documented]:
    found: dict[str, Documented] = {}
    for key, item in document()["paths"].items():
        path, _, behind = key.partition("?")
        selector, _, fragment = (behind or path).partition("#")
        path = path.partition("#")[0]
        assert fragment in ("", COPY_HEADER), key
        for method in METHODS:
            if method not in item:
                continue
            node = item[method]
            parameters = [resolved(each) for each in (*item.get("parameters", ()), *node.get("parameters", ()))]
            name = node["operationId"]
            assert name not in found, name
            found[name] = Documented(
                name, method.upper(), path, selector if behind else "", bool(fragment), tuple(parameters), node
            )
    return found


def resolved(node: Node) -> Node:
    """The node a reference leads to, with `allOf` folded in."""
    while "$ref" in node:
        node = at(node["$ref"])
    if "allOf" not in node:
        return node
    folded: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for part in (*map(resolved, node["allOf"]), {key: value for key, value in node.items() if key != "allOf"}):
        folded |= part
        properties |= part.get("properties", {})
    return folded | {"properties": properties}


def at(reference: str) -> Any:
    node = document()
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def elements_documented(schema: Node) -> set[str]:
    """The paths of elements ("Buckets/Bucket/Name") and attributes ("Grantee/@type") below a root of this schema."""
    return set(_below(resolved(schema), ""))


def _below(schema: Node, prefix: str) -> Iterator[str]:
    for name, each in schema.get("properties", {}).items():
        child = resolved(each)
        hints = child.get("xml", {})
        if child.get("writeOnly"):
            continue
        if hints.get("attribute"):
            yield f"{prefix}@{hints['name']}"
            continue
        place = prefix + name
        yield place
        if child.get("type") == "array":
            child = resolved(child["items"])
            if hints.get("wrapped"):
                place = f"{place}/{child['xml']['name']}"
                yield place
        yield from _below(child, place + "/")


def elements_sent(root: ET.Element) -> set[str]:
    """The same of a document that was sent."""
    return set(_within(root, ""))


def _within(element: ET.Element, prefix: str) -> Iterator[str]:
    for name in element.attrib:
        yield f"{prefix}@{local(name)}"
    for child in element:
        place = prefix + local(child.tag)
        yield place
        yield from _within(child, place + "/")


def local(name: str) -> str:
    return name.rpartition("}")[2]
