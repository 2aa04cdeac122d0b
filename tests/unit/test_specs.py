"""The specifications lead where they say: links, files, error codes, and the form of a decision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.domain import errors
from app.domain.errors import S3Error

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.md"))
DECISIONS = sorted((ROOT / "specs" / "decisions").glob("*.md"))
TEXTS = [*SPECS, *DECISIONS, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "app" / "DESIGN.md"]
CODES = {error.code for error in vars(errors).values() if isinstance(error, type) and issubclass(error, S3Error)}

EACH = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))


@EACH
def test_links_lead_to_files(text: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text.read_text()):
        if "://" not in target:
            assert (text.parent / target).exists(), target


@EACH
def test_paths_of_the_repository_exist(text: Path) -> None:
    for path in re.findall(r"`((?:app|tests|specs|schemas)/[\w./-]+)`", text.read_text()):
        assert (ROOT / path).exists(), path


def test_every_spec_is_in_the_index() -> None:
    index = (ROOT / "specs" / "README.md").read_text()
    missing = [spec.name for spec in SPECS if spec.name != "README.md" and f"({spec.name})" not in index]
    assert not missing


def test_what_looks_like_an_error_code_is_one() -> None:
    """Words of several capitals that begin or end as S3's codes do."""
    looks = re.compile(
        r"\b(?:NoSuch|Invalid|Malformed|Missing|Illegal|AccessDenied|Entity)[A-Z]\w+|\b\w+(?:Mismatch|TooLarge)\b"
    )
    of_aws_only = {"MissingContentMD5"}
    for spec in SPECS:
        for word in looks.findall(spec.read_text()):
            assert word in CODES | of_aws_only, (spec.name, word)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_why_and_what_follows(decision: Path) -> None:
    text = decision.read_text()
    assert re.match(rf"# {decision.stem[:4]} — \S", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Rejected", "Consequences"]
    assert len(text.splitlines()) <= 50, "half a page"


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [decision.stem[:4] for decision in DECISIONS]
    assert len(set(numbers)) == len(numbers)
