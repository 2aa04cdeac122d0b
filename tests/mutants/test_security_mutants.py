"""The checks of S-01 and S-05 find a server that lacks what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.conftest import StartMutant
from tests.security.access_matrix import World, check_table
from tests.security.auth_matrix import RULES, check_wrong_is_denied
from tests.security.conftest import make_scene, users_setting
from tests.security.document_check import bait, check_hostile_documents
from tests.security.flaws import FLAWS
from tests.security.fuzz import check_nothing_hurts
from tests.security.name_check import check_keys_are_opaque, check_no_path_is_made_of_a_key
from tests.security.odd_names import escaped
from tests.security.test_names_elsewhere import check_copy_sources, store_odd_keys
from tests.security.test_sizes import check_bounds, long_documents
from tests.security.test_spellings import check_spellings, store_spelled
from tests.security.test_unsigned_headers import check_unsigned_headers
from tests.signing import Sign, presign, sign

# Every kind of route and of flaw, not each with each.
SOME_RULES = tuple(
    rule for rule in RULES if rule.operation in ("GetObject", "PutObject", "UploadPart", "DeleteBucketCors")
)


@pytest.mark.parametrize(
    ("mutant", "what"),
    [
        ("everybody_is_root", "anonymous: 200"),
        ("any_signature_will_do", "altered signature"),
        ("scopes_are_not_compared", "another region"),
        ("signatures_never_expire", "expired"),
        ("strangers_may", "anonymous: 200"),
    ],
)
def test_a_server_that_checks_less_fails_the_matrix_of_signatures(
    start_mutant: StartMutant, mutant: str, what: str
) -> None:
    """S-01."""
    server = start_mutant(mutant)
    scene = make_scene(server, server.client())
    with pytest.raises(AssertionError, match=what):
        check_wrong_is_denied(scene, SOME_RULES, FLAWS)


@pytest.mark.parametrize(
    ("mutant", "caller", "kind"),
    [("strangers_may", "bob", "private"), ("bucket_owners_may_all", "alice", "public-read-write")],
)
def test_a_server_that_allows_more_fails_the_table(
    start_mutant: StartMutant, mutant: str, caller: str, kind: str
) -> None:
    """S-09."""
    server = start_mutant(mutant, environ={"BLEEPSTORE_AUTH_USERS": users_setting()})
    with pytest.raises(AssertionError, match=caller):
        check_table(World(server), caller, kind)


def test_a_parser_that_follows_references_takes_the_bait(start_mutant: StartMutant, tmp_path: Path) -> None:
    """S-03."""
    server = start_mutant("documents_follow_references")
    scene = make_scene(server, server.client())
    with bait(tmp_path) as laid, pytest.raises(AssertionError, match="somebody opened|refused after|500"):
        check_hostile_documents(scene, server.worker_pids(), laid, "PutBucketTagging")
    assert laid.visitors


@pytest.mark.parametrize(
    "mutant", ["dots_are_resolved", "slashes_are_merged", "keys_are_composed", "keys_are_decoded_twice"]
)
def test_a_server_that_changes_keys_mixes_them_up(start_mutant: StartMutant, mutant: str) -> None:
    """S-05."""
    server = start_mutant(mutant)
    with pytest.raises(AssertionError, match="has another key's bytes"):
        check_keys_are_opaque(server, server.client())


def test_a_server_that_makes_paths_of_keys_is_seen_doing_it(start_mutant: StartMutant, tmp_path: Path) -> None:
    """S-05."""
    server = start_mutant("objects_are_written_by_their_key")
    check_keys_are_opaque(server, server.client())
    with pytest.raises(AssertionError, match="foreign paths"):
        check_no_path_is_made_of_a_key(server, server.client(), tmp_path)


def test_a_server_that_trusts_its_clients_fails_under_odd_requests(start_mutant: StartMutant) -> None:
    """S-24."""
    server = start_mutant("numbers_are_trusted")
    with pytest.raises(AssertionError, match="status 500"):
        check_nothing_hurts(server, server.client(), 6_000)  # as many as of the server itself


@pytest.mark.parametrize("by", [sign, presign])
def test_a_server_that_hears_unsigned_headers_is_found(start_mutant: StartMutant, by: Sign) -> None:
    """S-02."""
    server = start_mutant("unsigned_headers_count")
    with pytest.raises(AssertionError, match="x-amz"):
        check_unsigned_headers(make_scene(server, server.client()), by)


def test_a_server_without_bounds_is_found(start_mutant: StartMutant) -> None:
    """S-04."""
    server = start_mutant("documents_may_be_long")
    scene = make_scene(server, server.client())
    with pytest.raises(AssertionError, match="10 MiB"):
        check_bounds(server, list(long_documents(scene)), scene)


def test_a_copy_source_decoded_twice_is_found(start_mutant: StartMutant) -> None:
    """S-06."""
    server = start_mutant("copy_sources_are_decoded_twice")
    client = server.client()
    with pytest.raises(AssertionError, match="%"):
        check_copy_sources(client, make_scene(server, client), store_odd_keys(server, client), escaped)


@pytest.mark.parametrize("mutant", ["keys_are_decoded_twice", "dots_are_resolved"])
def test_two_readings_of_one_target_are_found(start_mutant: StartMutant, mutant: str) -> None:
    """S-07."""
    server = start_mutant(mutant)
    client = server.client()
    with pytest.raises(AssertionError, match="another key's bytes|404"):
        check_spellings(make_scene(server, client), store_spelled(server, client), sign)
