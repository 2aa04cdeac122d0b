"""The lines of the two READMEs are taken by Helm as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.helm.charts import CHART, KUBERNETES, MAJORS, ROOT, helm, rendered

READMES = (ROOT / "README.md", CHART / "README.md")


def installs(readme: Path) -> list[list[str]]:
    """The arguments of every `helm install` in a block of shell."""
    blocks = re.findall(r"```sh\n(.*?)```", readme.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("helm install ")]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_install_lines_render(readme: Path, major: int) -> None:
    lines = installs(readme)
    assert lines
    for words in lines:
        words = [
            str(ROOT / word) if word == "helm/bleepstore" else word for word in words if word != "--create-namespace"
        ]
        text = helm(major, "template", *words, "--kube-version", KUBERNETES).stdout
        (workload,) = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "StatefulSet"]
        (image,) = [each["image"] for each in workload["spec"]["template"]["spec"]["containers"]]
        assert image == "registry.example.com/bleepstore:0.1.0"


def test_the_line_for_openshift_leaves_the_user_to_the_cluster() -> None:
    line = re.search(r"`(--set podSecurityContext\.runAsUser=null[^`]*)`", (CHART / "README.md").read_text())
    assert line
    words = line[1].split()
    chart = rendered(4, None, *(f"{flag}={value}" for flag, value in zip(words[::2], words[1::2], strict=True)))
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(chart.pod["securityContext"])
    assert chart.pod["securityContext"]["runAsNonRoot"] is True


def test_every_value_that_the_readmes_name_exists() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (CHART / "README.md").read_text().partition("## Values")[0]
    named = set(re.findall(r"`([a-z][A-Za-z]+\.[A-Za-z.]+)[:`]", text))
    for path in sorted(each for each in named if each.split(".")[0] in values and not each.startswith("config.")):
        place = values
        for name in path.split("."):
            assert name in place, path
            place = place[name]
