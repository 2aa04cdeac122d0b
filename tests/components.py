"""Programs and packages from outside that a test needs: found, or the test is a counted skip that says how to get them.

With BLEEPSTORE_REQUIRE_COMPONENTS=1 (CI) a missing one is a failure, so that a green run cannot hide one.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

MISSING = "component missing: "  # begins the reason of every such skip; the closing summary counts them
NODE_MAJOR_MIN = 20  # what the AWS SDK asks for
AWS_CLI = Path(__file__).parent.parent / ".tools" / "aws-cli" / "bin" / "aws"
PROMETHEUS = Path(__file__).parent.parent / ".tools" / "prometheus" / "usr" / "bin"
NGINX = Path(__file__).parent.parent / ".tools" / "nginx" / "usr" / "sbin" / "nginx"
AZURITE = Path(__file__).parent.parent / ".tools" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
MC = Path(__file__).parent.parent / ".tools" / "mc"
FAKE_GCS = Path(__file__).parent.parent / ".tools" / "fake-gcs-server"
HELMS = {major: Path(__file__).parent.parent / ".tools" / f"helm{major}" / "helm" for major in (3, 4)}
NODE_MODULES = Path(__file__).parent / "clients" / "node_modules"

# Commands whose Debian package has another name.
_PACKAGES = {"aws": "awscli", "node": "nodejs", "ip": "iproute2"}


def require(command: str) -> str:
    """The path of a program."""
    path = shutil.which(command)
    if path is None:
        _missing(command, f"make test-deps, or the package {_PACKAGES.get(command, command)} of your distribution")
    return path


def require_aws_cli() -> str:
    """The AWS CLI: the one that BLEEPSTORE_TEST_AWS names, that of `make test-deps`, or the first on the PATH."""
    named = os.environ.get("BLEEPSTORE_TEST_AWS")
    if named:
        return named
    return str(AWS_CLI) if AWS_CLI.is_file() else require("aws")


def require_nginx() -> str:
    """The machine's, which is not on everybody's PATH, or that of `make test-deps`."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    return found or (str(NGINX) if NGINX.is_file() else require("nginx"))


def require_azurite() -> str:
    """The emulator of Azure's blobs, of `make test-deps`. It needs Node.js."""
    require("node")
    if not AZURITE.is_file():
        _missing("azurite", "make test-deps")
    return str(AZURITE)


def require_fake_gcs() -> str:
    """The emulator of Google's storage, of `make test-deps`, or the first on the PATH."""
    path = str(FAKE_GCS) if FAKE_GCS.is_file() else shutil.which("fake-gcs-server")
    if path is None:
        _missing("fake-gcs-server", "make test-deps, with Go 1.21 or newer")
    return path


def require_mc() -> str:
    """MinIO's client, of `make test-deps`. Not the one on the PATH, which is mostly Midnight Commander."""
    if not MC.is_file():
        _missing("mc", "make test-deps, with Go 1.21 or newer")
    return str(MC)


def require_helm(major: int) -> str:
    """Helm 3 or 4, of `make test-deps`, or the first on the PATH that is of this major version."""
    if HELMS[major].is_file():
        return str(HELMS[major])
    path = shutil.which("helm")
    asked = [path or "true", "version", "--template", "{{.Version}}"]
    if path is None or not subprocess.run(asked, capture_output=True, text=True).stdout.startswith(f"v{major}."):
        _missing(f"helm {major}", "make test-deps, with Go 1.21 or newer")
    return path


def require_prometheus() -> str:
    """Prometheus' server, of `make test-deps`, or the first on the PATH."""
    return _of_prometheus("prometheus")


def require_promtool() -> str:
    """As `require_prometheus`, the program that checks rules, metrics and configurations."""
    return _of_prometheus("promtool")


def _of_prometheus(program: str) -> str:
    path = str(PROMETHEUS / program) if (PROMETHEUS / program).is_file() else shutil.which(program)
    if path is None:
        _missing(program, "make test-deps, or the package prometheus of your distribution")
    return path


def require_python(module: str, package: str | None = None) -> ModuleType:
    """An importable Python module; `package` is its name for pip where that differs."""
    try:
        return importlib.import_module(module)
    except ImportError:
        _missing(package or module, f"make test, which makes its own environment, or pip install {package or module}")


def require_node_module(name: str) -> Path:
    """The directory that holds `node_modules/name`; run node there."""
    node = subprocess.run([require("node"), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(node.removeprefix("v").partition(".")[0]) < NODE_MAJOR_MIN:
        _missing(f"node {NODE_MAJOR_MIN}", f"a newer Node.js than {node}, as Debian 13 has it")
    if not (NODE_MODULES / name / "package.json").is_file():
        _missing(name, "make test-deps, or npm ci in tests/clients")
    return NODE_MODULES.parent


def require_engine() -> str:
    """The client of a container engine that answers. DOCKER_HOST leads to it; BLEEPSTORE_TEST_DOCKER names another client."""
    path = os.environ.get("BLEEPSTORE_TEST_DOCKER") or require("docker")
    done = subprocess.run([path, "info"], capture_output=True, check=False)
    if done.returncode:
        _missing(
            "container engine", "start Docker or Podman's service, and set DOCKER_HOST where it is not the usual one"
        )
    return path


def require_root() -> None:
    """For what only root may do: mounts, namespaces."""
    if os.geteuid() != 0:
        _missing("root", "run the tests as root")


def require_path(path: str, how: str) -> Path:
    """A device or file of the machine, such as /dev/fuse; `how` says what brings it."""
    if not os.path.exists(path):
        _missing(path, how)
    return Path(path)


def _missing(name: str, how: str) -> NoReturn:
    if os.environ.get("BLEEPSTORE_REQUIRE_COMPONENTS") == "1":
        pytest.fail(
            f"{MISSING}{name}; BLEEPSTORE_REQUIRE_COMPONENTS=1 forbids the skip. Get it by: {how}", pytrace=False
        )
    pytest.skip(f"{MISSING}{name}. Get it by: {how}")
