"""Who may import whom, and what an embedded server may load at all.

    domain <- observe, metadata, storage, auth <- core <- s3, admin, console, cli <- server <- app/__init__

Left is used by right; siblings never import each other. The walk reads every import statement, those inside functions
and under TYPE_CHECKING included: an import that is only for a type is still knowledge.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"

# Modules at the top of the package, by layer. What is not here is a folder.
LEVELS: dict[str, int] = {
    "version": 0,
    "domain": 0,
    "settings": 1,
    "config": 1,
    "config_backends": 1,
    "config_buckets": 1,
    "config_checks": 1,
    "config_minio": 1,
    "config_sources": 1,
    "config_storage": 1,
    "runtime": 1,
    "observe": 2,
    "metadata": 2,
    "storage": 2,
    "auth": 2,
    "registry": 3,
    "core": 3,
    "s3": 4,
    "admin": 4,
    "console": 4,
    "cli": 4,
    "cli_config": 4,
    "cli_health": 4,
    "cli_store": 4,
    "server": 5,
    "app": 6,
    "__main__": 7,
}

# Families whose members may know each other, though they stand on one level.
FAMILIES = (
    {
        "settings",
        "config",
        "config_backends",
        "config_buckets",
        "config_checks",
        "config_minio",
        "config_sources",
        "config_storage",
    },
    {"cli", "cli_config", "cli_health", "cli_store"},
    {"domain"},
)

# Where one goes upwards all the same, and why.
EXCEPTIONS = {
    ("cli", "server"): "`bleepstore serve` starts the server; imported when that command runs",
    ("cli", "app"): "commands build the store where configuration and engines meet",
    ("cli_store", "app"): "as above",
    ("registry", "metadata"): "the types that it gives",
    ("server", "app"): "a worker makes its application where everything meets",
}

FLASK_USERS = {"s3/adapter.py", "observe/endpoints.py", "__init__.py"}
FORM_READERS = {"s3/form.py"}  # Werkzeug's parser of forms, which knows nothing of requests
FLASK_USERS_IN = ("admin/", "console/")
GEVENT_USERS = {"runtime.py"}
GEVENT_USERS_IN = ("server/",)
FORBIDDEN_IN_SERVER = {"click", "rich", "pydantic", "boto3", "botocore", "requests", "google", "azure", "msgspec"}
VENDOR_ADAPTERS_IN = ("storage/", "metadata/")
DOMAIN_EXCEPTIONS = {"domain/digests.py": {"awscrt"}}


def modules() -> list[Path]:
    return sorted(APP.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports; `from app.x import y` gives both app.x and app.x.y."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> str:
    """The layer of a dotted name below `app`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and ((APP / parts[1]).is_dir() or (APP / f"{parts[1]}.py").is_file()) else "app"


def layer_of_file(path: Path) -> str:
    first = path.relative_to(APP).parts[0].removesuffix(".py")
    return "app" if first == "__init__" else first


def relative(path: Path) -> str:
    return path.relative_to(APP).as_posix()


def may_import(user: str, used: str) -> bool:
    if user == used or (user, used) in EXCEPTIONS or any({user, used} <= family for family in FAMILIES):
        return True
    return LEVELS[used] < LEVELS[user]


def test_every_module_has_a_layer() -> None:
    assert {layer_of_file(path) for path in modules()} <= set(LEVELS)


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_imports_go_from_right_to_left_only(path: Path) -> None:
    user = layer_of_file(path)
    wrong = [name for name in imports(path) if name.split(".")[0] == "app" and not may_import(user, layer_of(name))]
    assert not wrong, f"{relative(path)} ({user}) imports {', '.join(wrong)}"


def test_the_domain_is_pure_standard_library() -> None:
    for path in sorted((APP / "domain").rglob("*.py")):
        allowed = sys.stdlib_module_names | {"app"} | DOMAIN_EXCEPTIONS.get(relative(path), set())
        foreign = {name.split(".")[0] for name in imports(path)} - allowed
        assert not foreign, f"{relative(path)} imports {foreign}"


@pytest.mark.parametrize(
    ("packages", "files", "folders"),
    [
        ({"flask", "werkzeug"}, FLASK_USERS | FORM_READERS, FLASK_USERS_IN),
        ({"gevent", "greenlet"}, GEVENT_USERS, GEVENT_USERS_IN),
        ({"gunicorn"}, set(), ("server/",)),
        (FORBIDDEN_IN_SERVER, set(), VENDOR_ADAPTERS_IN),
    ],
    ids=["flask", "gevent", "gunicorn", "heavy"],
)
def test_a_framework_is_known_to_few(packages: set[str], files: set[str], folders: tuple[str, ...]) -> None:
    for path in modules():
        if relative(path) in files or relative(path).startswith(folders):
            continue
        found = {name for name in imports(path) if name.split(".")[0] in packages}
        assert not found, f"{relative(path)} imports {found}"


def test_core_knows_the_interfaces_and_no_engine() -> None:
    allowed = ("app.metadata.base", "app.storage.base")
    for path in sorted((APP / "core").rglob("*.py")):
        for name in imports(path):
            if name.startswith(("app.metadata", "app.storage")):
                assert name.startswith(allowed), f"{relative(path)} imports {name}"


def test_the_wire_knows_neither_interface() -> None:
    for path in sorted((APP / "s3").rglob("*.py")):
        wrong = [name for name in imports(path) if name.startswith(("app.metadata", "app.storage"))]
        assert not wrong, f"{relative(path)} imports {wrong}"


def test_the_table_can_fail() -> None:
    assert not may_import("domain", "core")
    assert not may_import("storage", "metadata")
    assert not may_import("core", "s3")
    assert not may_import("s3", "server")
    assert may_import("core", "storage")
