"""The chart as Helm renders it, and what its objects say of each other."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.components import require_helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/bleepstore"
VALUES = Path(__file__).parent / "values"
MAJORS = (3, 4)
VALUE_SETS = sorted(path.stem for path in VALUES.glob("*.yaml"))
RELEASE, NAMESPACE = "demo", "storage"
KUBERNETES = "1.31.0"
TIMEOUT_S = 60

Manifest = dict[str, Any]


class NoKeyTwice(yaml.CSafeLoader):
    """PyYAML takes the last of two equal keys; a cluster refuses both."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        assert not twice, f"{twice[0]} is there twice, line {node.start_mark.line + 1}"
        return super().construct_mapping(node, deep)


class Refused(Exception):
    """Helm would not render; the text is what it said."""


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering, hooks included."""

    manifests: tuple[Manifest, ...]
    text: str = field(repr=False)

    def of(self, kind: str) -> list[Manifest]:
        return [each for each in self.manifests if each["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Manifest:
        found = [each for each in self.of(kind) if name is None or each["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
        return found[0]

    @cached_property
    def workload(self) -> Manifest:
        (found,) = [each for each in self.manifests if each["kind"] in ("StatefulSet", "Deployment")]
        return found

    @property
    def pod(self) -> Manifest:
        return self.workload["spec"]["template"]["spec"]

    @property
    def container(self) -> Manifest:
        return next(each for each in self.pod["containers"] if each["name"] == "bleepstore")

    @property
    def config(self) -> Any:
        """bleepstore.yaml, as the server would read it."""
        (volume,) = [each for each in self.pod["volumes"] if each["name"] == "config"]
        return yaml.safe_load(self.one("ConfigMap", volume["configMap"]["name"])["data"]["bleepstore.yaml"])


def helm(major: int, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Helm. Raises: Refused."""
    command = [require_helm(major), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if check and done.returncode:
        raise Refused(done.stderr)
    return done


@cache
def rendered(
    major: int, values: str | None = None, *further: str, kubernetes: str = KUBERNETES, chart: Path = CHART
) -> Rendered:
    """The chart with a set of values by name, and further arguments such as "--set=replicas=2". Raises: Refused."""
    files = () if values is None else ("--values", str(VALUES / f"{values}.yaml"))
    text = helm(
        major, "template", RELEASE, str(chart), "--namespace", NAMESPACE, "--kube-version", kubernetes, *files, *further
    ).stdout
    return Rendered(tuple(each for each in yaml.load_all(text, NoKeyTwice) if each), text)


def with_values(major: int, values: dict[str, Any], **options: Any) -> Rendered:
    """As `rendered`, with values of one's own. Raises: Refused."""
    further = tuple(f"--set-json={name}={json.dumps(value)}" for name, value in values.items())
    return rendered(major, None, *further, **options)


def pod_specs(manifests: Iterable[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod that the objects make: a name to complain of, and its spec."""
    for each in manifests:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each["spec"]
        elif each["kind"] in ("StatefulSet", "Deployment", "Job"):
            yield name, each["spec"]["template"]["spec"]


def containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]
