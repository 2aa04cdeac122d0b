"""A pod's container as a process of this machine: volumes become directories, and what names them is moved along."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.helm.charts import ROOT, Manifest, Rendered

SNAPSHOT = "..2026_01_01"  # the kubelet's directory of one state of a volume; `..data` leads to it


def image_environment() -> dict[str, str]:
    """What the image's own ENV lines give a container, but for the search path."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").rpartition("\nFROM ")[2]
    pairs = [pair for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for pair in line.split()]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs) if name != "PATH"}


def image_entrypoint() -> list[str]:
    (found,) = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    words: list[str] = json.loads(found)
    return words


@dataclass(frozen=True)
class Sandbox:
    """Of one pod. `secrets` are those that the chart does not make: name -> key -> text.

    With `in_place` nothing is moved: the directories will be mounted where the container has them.
    """

    chart: Rendered
    spec: Manifest
    place: Path
    secrets: Mapping[str, Mapping[str, str]]
    in_place: bool = False

    def fill(self) -> Sandbox:
        """Make the volumes."""
        for name, files in self._volumes():
            directory = self.place / name
            (directory / SNAPSHOT).mkdir(parents=True)
            for path, content in files.items():
                target = directory / SNAPSHOT / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            if files:
                (directory / "..data").symlink_to(SNAPSHOT)
                for top in {path.split("/")[0] for path in files}:
                    (directory / top).symlink_to(f"..data/{top}")
        return self

    def command(self, container: Manifest, arguments: list[str] | None = None) -> list[str]:
        """As the container runtime makes it, with the programs of this machine."""
        words = container.get("command", image_entrypoint()) + (arguments or container.get("args", []))
        programs = {"bleepstore": [sys.executable, "-m", "app"], "python": [sys.executable]}
        programs["locust"] = [str(Path(sys.executable).parent / "locust")]
        return [*programs.get(words[0], [words[0]]), *(self.moved(container, word) for word in words[1:])]

    def environment(self, container: Manifest, image: Mapping[str, str]) -> dict[str, str]:
        given = {each["name"]: self._value(each) for each in container.get("env", [])}
        return {name: self.moved(container, value) for name, value in {**image, **given}.items()}

    def moved(self, container: Manifest, text: str) -> str:
        """With the directories of this machine where the text names those of the container."""
        mounts = self.mounts(container)
        if self.in_place or not mounts:
            return text
        pattern = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
        return re.sub(rf"(?<![\w/])({pattern})(?![\w-])", lambda match: mounts[match[1]], text)

    def mounts(self, container: Manifest) -> dict[str, str]:
        """Directories by the path that they have in the container."""
        return {each["mountPath"]: str(self.place / each["name"]) for each in container.get("volumeMounts", [])}

    def _value(self, variable: Manifest) -> str:
        if "value" in variable:
            return str(variable["value"])
        key = variable["valueFrom"]["secretKeyRef"]
        return self._secret(key["name"])[key["key"]].decode()

    def _volumes(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Names, and the files in each. Claims of a StatefulSet are empty directories."""
        for each in self.spec["volumes"]:
            files: dict[str, bytes] = {}
            for source in [each, *each.get("projected", {}).get("sources", [])]:
                if "secret" in source:
                    secret = source["secret"]
                    files |= _chosen(secret, self._secret(secret.get("secretName") or secret["name"]))
                if "configMap" in source:
                    files |= _chosen(source["configMap"], self._config_map(source["configMap"]["name"]))
            yield each["name"], files
        if self.spec is self.chart.pod:
            for claim in self.chart.workload["spec"].get("volumeClaimTemplates", []):
                yield claim["metadata"]["name"], {}

    def _secret(self, name: str) -> dict[str, bytes]:
        if name in self.secrets:
            return {key: text.encode() for key, text in self.secrets[name].items()}
        return {key: base64.b64decode(text) for key, text in self.chart.one("Secret", name)["data"].items()}

    def _config_map(self, name: str) -> dict[str, bytes]:
        """The paths in the server's configuration move with its mounts."""
        data: dict[str, str] = self.chart.one("ConfigMap", name)["data"]
        moving = {"bleepstore.yaml"}
        return {
            key: (self.moved(self.chart.container, text) if key in moving else text).encode()
            for key, text in data.items()
        }


def _chosen(source: Manifest, data: Mapping[str, bytes]) -> dict[str, bytes]:
    """What a volume shows of a Secret or ConfigMap, by path."""
    items = source.get("items")
    return dict(data) if items is None else {item["path"]: data[item["key"]] for item in items}
