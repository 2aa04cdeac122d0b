"""The wheel holds what the installed package needs, under the names that the code looks for."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from app.version import __version__
from tests.components import require_python

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel's content, as an installation lays it out."""
    require_python("hatchling")
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = place.glob("*.whl")
    assert wheel.name == f"bleepstore-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def run(installed: Path, code: str) -> str:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=installed, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_the_console_script_is_there(installed: Path) -> None:
    entry_points = next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    assert "bleepstore = app.cli:main" in entry_points


def test_licences_travel_with_the_package(installed: Path) -> None:
    licences = next(installed.glob("*.dist-info/licenses"))
    assert "MIT License" in (licences / "LICENSE").read_text()
    assert "Apache License" in (licences / "app/observe/assets/swagger-ui/LICENSE").read_text()


def test_the_installed_package_serves_its_description_and_documentation(installed: Path) -> None:
    code = (
        "import flask, app\n"
        "from app.observe.endpoints import service_blueprint\n"
        "from app.observe.metrics import NoMetrics\n"
        "web = flask.Flask('x', static_folder=None)\n"
        "web.register_blueprint(service_blueprint(None, NoMetrics()))\n"
        "client = web.test_client()\n"
        "paths = ['/openapi.json', '/docs', '/.bleepstore/docs/swagger-ui-bundle.js', '/.bleepstore/docs/docs.js']\n"
        "print(app.__file__, [client.get(path).status_code for path in paths])\n"
    )
    out = run(installed, code)
    assert out.startswith(str(installed))
    assert out.strip().endswith("[200, 200, 200, 200]")


def test_a_checkout_and_an_installation_describe_the_same_interface(installed: Path) -> None:
    packaged = installed / "app/observe/assets/s3-api.openapi.yaml"
    assert packaged.read_bytes() == (ROOT / "schemas/s3-api.openapi.yaml").read_bytes()


def test_nothing_but_the_package_is_in_the_wheel(installed: Path) -> None:
    top = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"app"}
    assert not list(installed.rglob("test_*.py"))


def test_the_lock_files_pin_every_dependency_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dev = project["optional-dependencies"]["dev"]
    for name, wanted in (("requirements.lock", []), ("requirements-dev.lock", dev)):
        text = (ROOT / name).read_text()
        pinned = {line.split("==")[0].split("[")[0] for line in text.splitlines() if "==" in line and line[0].isalnum()}
        assert text.count("--hash=sha256:") > len(pinned)
        for requirement in [*project["dependencies"], *wanted]:
            bare = requirement.replace("[", " ").replace(">", " ").split()[0].lower()
            assert bare in pinned, f"{bare} is not in {name}: make lock"
        assert "://" not in text, f"{name} names a host"
