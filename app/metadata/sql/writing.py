"""The changes of buckets, objects and uploads, as requests to a writer. What SQL engines have in common."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from app.domain.errors import S3Error
from app.domain.types import (
    BlobRef,
    Bucket,
    Condition,
    NewBucket,
    NewVersion,
    Part,
    Published,
    Removal,
    Removed,
    Upload,
    Version,
    VersionChange,
    Versioning,
)
from app.metadata.base import MetadataStore
from app.metadata.sql import buckets, moving, objects, params, rows, uploads
from app.metadata.sql.execution import PublishRequest, RemoveRequest, Request
from app.metadata.sql.mutation import Found, Mutation, Outcome


class Writing(MetadataStore):
    @abstractmethod
    def submit(self, request: Request) -> Any:
        """Do a request; returns what it gives after it is durable. Raises: its refusal, SlowDown, OutcomeUnknown."""

    @abstractmethod
    def submit_all(self, requests: Sequence[Request]) -> Sequence[Any]:
        """Do many, each by itself, in few commits: what each gives, or the S3 error it raises. Raises: any other error."""

    def write(self, mutation: Mutation, named: params.Named, op_id: str = "") -> Outcome:
        outcome: Outcome = self.submit(Request(mutation, named, op_id))
        return outcome

    # -- buckets -------------------------------------------------------------------------------------------------

    def create_bucket(self, new: NewBucket, op_id: str) -> Bucket:
        named: params.Named = {
            "bucket": new.name,
            "owner_id": new.owner_id,
            "region": new.region,
            "now_ms": new.created_ms,
            "documents": json.dumps(dict(new.documents)),
        }
        found = _done(self.write(buckets.CREATE_BUCKET, named, op_id))
        return Bucket(
            found.sequence, new.name, new.owner_id, new.region, new.created_ms, generation=found.sequence,
            documents=dict(new.documents),
        )  # fmt: skip

    def delete_bucket(self, name: str, op_id: str, now_ms: int) -> None:
        self.write(buckets.DELETE_BUCKET, {"bucket": name, "now_ms": now_ms}, op_id)

    def set_versioning(self, name: str, versioning: Versioning, op_id: str) -> None:
        self.write(buckets.SET_VERSIONING, {"bucket": name, "versioning": versioning.value}, op_id)

    def put_document(self, name: str, kind: str, body: str | None, op_id: str) -> None:
        mutation = buckets.DELETE_DOCUMENT if body is None else buckets.PUT_DOCUMENT
        self.write(mutation, {"bucket": name, "document": kind, "body": body}, op_id)

    # -- objects -------------------------------------------------------------------------------------------------

    def publish(self, new: NewVersion, condition: Condition | None, op_id: str) -> Published:
        outcome: Published | Outcome = self.submit(PublishRequest(new, condition, op_id))
        if isinstance(outcome, Published):
            return outcome
        if outcome.found is None:
            version_id, sequence, modified_ms, versioning = outcome.rows[0]
            return Published(version_id, sequence, modified_ms, Versioning(versioning))
        found = outcome.found
        assert found.version_id is not None
        assert found.modified_ms is not None
        return Published(found.version_id, found.sequence, found.modified_ms, Versioning(found.versioning))

    def update_version(
        self, bucket: str, key: str, version_id: str | None, change: VersionChange, op_id: str
    ) -> Version:
        outcome = self.write(objects.UPDATE_VERSION, params.of_change(bucket, key, version_id, change), op_id)
        return rows.version(bucket, key, outcome.rows[0])

    def remove(self, removal: Removal, condition: Condition | None, op_id: str) -> Removed:
        return _removed(removal, self.submit(RemoveRequest(removal, condition, op_id)))

    def remove_all(self, removals: Sequence[tuple[Removal, Condition | None, str]]) -> Sequence[Removed | S3Error]:
        outcomes = self.submit_all([RemoveRequest(*each) for each in removals])
        return [
            outcome if isinstance(outcome, S3Error) else _removed(removal, outcome)
            for (removal, _, _), outcome in zip(removals, outcomes, strict=True)
        ]

    # -- uploads -------------------------------------------------------------------------------------------------

    def create_upload(self, upload: Upload, op_id: str) -> None:
        self.write(uploads.CREATE_UPLOAD, params.of_upload(upload), op_id)

    def put_part(self, bucket: str, key: str, upload_id: str, part: Part, op_id: str) -> None:
        self.write(uploads.PUT_PART, params.of_part(bucket, key, upload_id, part), op_id)

    def abort_upload(self, bucket: str, key: str, upload_id: str, op_id: str, now_ms: int) -> None:
        named: params.Named = {"bucket": bucket, "key": key, "upload_id": upload_id, "now_ms": now_ms}
        self.write(uploads.ABORT_UPLOAD, named, op_id)

    # -- moving --------------------------------------------------------------------------------------------------

    def move_blob(self, version: Version, new: BlobRef, now_ms: int) -> bool:
        return version.content.blob is not None and _is_moved(self.submit(moving.MoveRequest(version, new, now_ms)))

    def move_part(self, upload_id: str, part: Part, new: BlobRef, now_ms: int) -> bool:
        return _is_moved(self.submit(moving.of_part(upload_id, part, new, now_ms)))

    def remember_backend(self, name: str) -> None:
        self.write(moving.REMEMBER_BACKEND, {"name": name})


def _is_moved(outcome: Outcome) -> bool:
    return outcome.refusal != "nothing_to_do"


def _removed(removal: Removal, outcome: Removed | Outcome) -> Removed:
    if isinstance(outcome, Removed):
        return outcome
    found = outcome.found
    if found is not None:
        return Removed(Versioning(found.versioning), found.version_id, found.is_marker == 1)
    versioning = Versioning(outcome.rows[0][0])
    if outcome.refusal == "repeated":
        return Removed(versioning, removal.marker_id, True)
    return Removed(versioning)


def _done(outcome: Outcome) -> Found:
    assert outcome.found is not None, "a mutation that is never repeated has a plan row"
    return outcome.found
