"""`python -m helm.generate`: writes what the chart has from elsewhere, and with --check only says what is not current.

README.md      the table of values, from values.yaml and its comments
files/dashboard.json the Grafana dashboard, from dashboard_rows.py
values.schema.json   the schema of `config`, from the server's settings
files/loadtests      the load tests, from loadtests/
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helm.config_schema import config_schema
from helm.dashboard import dashboard
from helm.dashboard_rows import ROWS
from helm.values_table import values_table

CHART = Path(__file__).parent / "bleepstore"
ROOT = Path(__file__).parents[1]
LOADTESTS = ("__init__.py", "locustfile.py", "presigner.py", "scenarios")
BEGIN, END = "<!-- values: made by `make chart` -->\n", "<!-- end of values -->"
LINE_MAX = 110  # a part of the schema that is no longer stands on one line


def wanted() -> dict[Path, str]:
    """Every file that is made, with its content."""
    return {
        CHART / "README.md": readme(),
        CHART / "values.schema.json": schema(),
        CHART / "files/dashboard.json": laid_out(dashboard(ROWS)) + "\n",
        **dict(load_tests()),
    }


def readme() -> str:
    before, _, rest = (CHART / "README.md").read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{values_table((CHART / 'values.yaml').read_text())}\n{END}{after}"


def schema() -> str:
    document = json.loads((CHART / "values.schema.json").read_text())
    document["properties"]["config"] = config_schema()
    return laid_out(document) + "\n"


def load_tests() -> Iterator[tuple[Path, str]]:
    for name in LOADTESTS:
        source = ROOT / "loadtests" / name
        for path in sorted(source.glob("*.py")) if source.is_dir() else [source]:
            yield CHART / "files/loadtests" / path.relative_to(ROOT / "loadtests"), path.read_text()


def laid_out(node: Any, indent: str = "") -> str:
    """JSON with short parts on one line."""
    short = json.dumps(node, ensure_ascii=False)
    if len(short) + len(indent) <= LINE_MAX or not isinstance(node, dict | list):
        return short
    deeper = indent + "  "
    if isinstance(node, list):
        return "[\n" + ",\n".join(deeper + laid_out(each, deeper) for each in node) + f"\n{indent}]"
    lines = (f"{deeper}{json.dumps(name)}: {laid_out(value, deeper)}" for name, value in node.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def stale() -> list[str]:
    """The files that are not as they would be made, and copies of what is gone."""
    made = wanted()
    gone = set((CHART / "files/loadtests").rglob("*.py")) - set(made)
    changed = {path for path, text in made.items() if not path.is_file() or path.read_text() != text}
    return sorted(str(path.relative_to(CHART)) for path in gone | changed)


def main() -> int:
    if "--check" in sys.argv[1:]:
        names = stale()
        if names:
            print(f"not current: {', '.join(names)}; make chart", file=sys.stderr)
        return 1 if names else 0
    made = wanted()
    for path in set((CHART / "files/loadtests").rglob("*.py")) - set(made):
        path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
