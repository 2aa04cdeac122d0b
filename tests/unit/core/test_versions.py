"""Changes of a version whose name another object takes meanwhile."""

from __future__ import annotations

import pytest

from app.core import versions
from app.domain import acl
from app.domain.errors import AccessDenied
from app.domain.types import Version, Versioning
from tests.unit.core.world import BUCKET, World


def current(world: World) -> Version:
    found = world.metadata.look_up(BUCKET, "k").version
    assert found is not None
    return found


def write(world: World) -> Version:
    world.put_inline("k", b"bytes")
    return current(world)


def test_an_acl_meant_for_the_object_before_does_not_open_its_successor() -> None:
    world = World()
    meant = write(world)
    write(world)
    opened = acl.canned("public-read", meant.owner_id, meant.owner_id)
    assert opened is not None
    versions.put_acl(world.store, world.metadata.bucket(BUCKET), meant, opened)
    assert current(world).acl is None


def test_tags_meant_for_the_object_before_do_not_stick_to_its_successor() -> None:
    world = World()
    meant = write(world)
    write(world)
    versions.put_tags(world.store, meant, (("a", "b"),))
    assert current(world).tags == ()


def test_a_version_that_is_no_longer_current_is_still_the_one_meant() -> None:
    world = World()
    world.metadata.set_versioning(BUCKET, Versioning.ENABLED, world.op())
    meant = write(world)
    latest = write(world)
    versions.put_tags(world.store, meant, (("a", "b"),))
    assert current(world) == latest
    changed = world.metadata.look_up(BUCKET, "k", meant.version_id).version
    assert changed is not None
    assert changed.tags == (("a", "b"),)


def test_a_version_that_is_gone_took_the_change_with_it() -> None:
    world = World()
    meant = write(world)
    world.delete("k")
    versions.put_tags(world.store, meant, (("a", "b"),))
    assert world.metadata.look_up(BUCKET, "k").version is None


@pytest.mark.parametrize("stranger", ["b" * 64, ""])
def test_nobody_gives_an_object_away(stranger: str) -> None:
    world = World()
    version = write(world)
    with pytest.raises(AccessDenied):
        versions.put_acl(world.store, world.metadata.bucket(BUCKET), version, acl.private(stranger))
