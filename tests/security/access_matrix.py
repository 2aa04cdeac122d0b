"""S-09 for what is there now, as functions of a server: who may do what, by a table of its own and not the server's.

Four callers, six kinds of bucket, four kinds of object, every operation of the router.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from app.domain.names import canonical_id
from app.s3.routing import Level, Rule
from tests.exchange import exchange
from tests.inventory import blob_files, inventory
from tests.reliability.races import completion
from tests.security.auth_matrix import MODES, RULES, Scene, draft_of
from tests.security.conftest import user_keys
from tests.server.wire import Answer
from tests.servers import RunningServer, boto_client
from tests.signing import Draft, Keys, Signed, anonymous, sign

ALICE, BOB, ROOT, ANYBODY = "alice", "bob", "root", "anonymous"
CALLERS = (ALICE, BOB, ROOT, ANYBODY)

# What a bucket's ACL or ownership gives to those who do not own it. The bucket is alice's.
BUCKETS: dict[str, dict[str, set[str]]] = {
    "private": {},
    "public-read": {BOB: {"READ"}, ROOT: {"READ"}, ANYBODY: {"READ"}},
    "public-read-write": {who: {"READ", "WRITE"} for who in (BOB, ROOT, ANYBODY)},
    "authenticated-read": {BOB: {"READ"}, ROOT: {"READ"}},
    "granted to bob": {BOB: {"WRITE", "READ_ACP"}},
    "enforced": {},
}
# Object -> its owner, and what its ACL gives to others. Bucket owners have nothing of an object by themselves.
OBJECTS: dict[str, tuple[str, dict[str, set[str]]]] = {
    "hers": (ALICE, {}),
    "his": (BOB, {}),
    "shared": (BOB, {ALICE: {"READ", "READ_ACP", "WRITE_ACP"}}),
    "open": (ALICE, {who: {"READ"} for who in (BOB, ROOT, ANYBODY)}),
}

# An operation that is in none of these is the bucket owner's alone: a new one, too, until it is put here.
SIGNED_IN = {"ListBuckets", "CreateBucket"}
BUCKET_PERMISSION = {
    **dict.fromkeys(
        ("HeadBucket", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"), "READ"
    ),
    **dict.fromkeys(("PutObject", "DeleteObject", "DeleteObjects", "CreateMultipartUpload", "PostObject"), "WRITE"),
    "GetBucketAcl": "READ_ACP",
    "PutBucketAcl": "WRITE_ACP",
}
OBJECT_PERMISSION = {
    **dict.fromkeys(("GetObject", "HeadObject", "GetObjectAttributes"), "READ"),
    "GetObjectAcl": "READ_ACP",
    "PutObjectAcl": "WRITE_ACP",
}
OF_OBJECT_OWNER = {
    "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging", "GetObjectRetention", "GetObjectLegalHold",
}  # fmt: skip
OF_INITIATOR = {"UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"}  # and who may write

# In this order, behind all others: they take away what others look at.
LAST = (
    "AbortMultipartUpload",
    "CopyObject",
    "PutObject",
    "DeleteObjects",
    "DeleteBucketOwnershipControls",
    "DeleteObject",
)
UNSIGNED_PAYLOAD = next(mode for mode in MODES if mode.name == "unsigned")


def is_allowed(caller: str, bucket: str, key: str, operation: str) -> bool:
    is_enforced = bucket == "enforced"
    granted = BUCKETS[bucket].get(caller, set())
    owner, others = (ALICE, {}) if is_enforced else OBJECTS[key]
    may_read = caller == owner or "READ" in others.get(caller, set())
    may_write = caller == ALICE or "WRITE" in granted
    if operation in SIGNED_IN:
        return caller != ANYBODY
    if operation in BUCKET_PERMISSION:
        return caller == ALICE or BUCKET_PERMISSION[operation] in granted
    if operation in OBJECT_PERMISSION:
        return caller == owner or OBJECT_PERMISSION[operation] in others.get(caller, set())
    if operation in OF_OBJECT_OWNER:
        return caller == owner
    if operation in OF_INITIATOR:
        return may_write and caller in (ALICE, BOB)
    if operation == "CopyObject":
        return may_write and may_read
    if operation == "UploadPartCopy":
        return may_write and caller in (ALICE, BOB) and may_read
    return caller == ALICE


@dataclass(frozen=True)
class World:
    """The server, and the keys of everybody."""

    server: RunningServer

    def keys(self, caller: str) -> Keys:
        return Keys(self.server.access_key, self.server.secret_key) if caller == ROOT else user_keys(caller)

    def client(self, caller: str) -> Any:
        keys = self.keys(caller)
        return boto_client(self.server.endpoint, keys.access_key, keys.secret_key)

    def signed(self, draft: Draft, caller: str) -> Signed:
        return anonymous(draft) if caller == ANYBODY else sign(draft, self.keys(caller))

    def scene(self, kind: str, key: str, alice: Any, bob: Any) -> Scene:
        """alice's bucket of this kind, with all objects and an upload that bob began."""
        bucket = f"access-{secrets.token_hex(8)}"
        alice.create_bucket(Bucket=bucket, ACL="public-read-write")
        for name, (owner, _) in OBJECTS.items():
            acl = {"shared": "bucket-owner-full-control", "open": "public-read"}.get(name, "private")
            (alice if owner == ALICE else bob).put_object(Bucket=bucket, Key=name, Body=b"as it was", ACL=acl)
        upload_id = bob.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        if kind == "enforced":
            alice.put_bucket_acl(Bucket=bucket, ACL="private")
            controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
            alice.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
        elif kind == "granted to bob":
            grantee = f'id="{canonical_id(BOB)}"'
            alice.put_bucket_acl(Bucket=bucket, GrantWrite=grantee, GrantReadACP=grantee)
        else:
            alice.put_bucket_acl(Bucket=bucket, ACL=kind)
        return Scene(self.server.port, self.keys(ALICE), bucket, key, upload_id)


def check_table(world: World, caller: str, kind: str) -> None:
    """Each rule is allowed or refused as the table has it."""
    alice, bob = world.client(ALICE), world.client(BOB)
    for key in OBJECTS:
        scene = world.scene(kind, key, alice, bob)
        rules = sorted(RULES, key=lambda rule: LAST.index(rule.operation) if rule.operation in LAST else -1)
        if key != "hers":
            rules = [rule for rule in rules if rule.level is Level.OBJECT]
        requests = [(rule.method, world.signed(_draft(rule, scene), caller).wire()) for rule in rules]
        # On one connection they are answered in order.
        answers = exchange(scene.port, requests, lanes=1)
        for rule, answer in zip(rules, answers, strict=True):
            _check(
                rule,
                answer,
                is_allowed(caller, kind, key, rule.operation),
                f"{caller}, {kind}, {key}, {rule.operation}",
            )


def check_refusals_change_nothing(world: World, caller: str, kind: str) -> None:
    alice, bob = world.client(ALICE), world.client(BOB)
    scene = world.scene(kind, "hers", alice, bob)
    before, blobs = inventory(alice, scene.bucket), blob_files(world.server.data_dir)
    drafts = [_draft(rule, scene) for rule in RULES if not is_allowed(caller, kind, "hers", rule.operation)]
    named = [rule for rule in RULES if rule.version_action and not is_allowed(caller, kind, "hers", rule.operation)]
    drafts += [_of_null_version(_draft(rule, scene)) for rule in named]
    # Deleting a version is the bucket owner's, whoever may write.
    drafts.append(Draft("DELETE", f"/{scene.bucket}/hers?versionId=null"))
    requests = [(draft.method, world.signed(draft, caller).wire()) for draft in drafts]
    assert {answer.status for answer in exchange(scene.port, requests)} == {403}
    assert inventory(alice, scene.bucket) == before
    assert blob_files(world.server.data_dir) == blobs


def _draft(rule: Rule, scene: Scene) -> Draft:
    draft = draft_of(rule, scene, UNSIGNED_PAYLOAD)
    if rule.operation == "CompleteMultipartUpload":
        # Of no part that is there: who may complete gets InvalidPart.
        return draft.copy(body=completion({9: "0" * 32}))
    return draft


def _of_null_version(draft: Draft) -> Draft:
    return draft.copy(target=draft.target + ("&" if "?" in draft.target else "?") + "versionId=null")


def _check(rule: Rule, answer: Answer, allowed: bool, name: str) -> None:
    if allowed:
        assert answer.status not in (403, 500), f"{name}: {answer.status} {answer.code}"
        return
    assert answer.status == 403, f"{name}: {answer.status} {answer.code}"
    assert rule.method == "HEAD" or answer.code == "AccessDenied", f"{name}: {answer.code}"
