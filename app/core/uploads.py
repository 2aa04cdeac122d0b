"""Multipart uploads: parts stay where they are and become the object's manifest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.core import intake
from app.core.content import part_rows
from app.core.objects import NewObject, Stored
from app.core.store import PART_MAX_BYTES, PART_MIN_BYTES, Store
from app.domain import digests, multipart
from app.domain.errors import (
    AccessDenied,
    BadDigest,
    ConditionalRequestConflict,
    EntityTooLarge,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchUpload,
    S3Error,
)
from app.domain.names import new_op_id, new_upload_id, new_version_id
from app.domain.payload import Payload
from app.domain.types import (
    Bucket,
    Checksum,
    Completion,
    Condition,
    Content,
    Manifest,
    NewVersion,
    Page,
    Part,
    Published,
    Upload,
    UploadQuery,
    UploadState,
)
from app.metadata.base import OutcomeUnknown

_IS_MD5 = re.compile(r"[0-9a-f]{32}").fullmatch

# A Complete whose part list changes under it is validated anew this often before it gives up.
COMPLETE_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part as the client lists it in CompleteMultipartUpload. `checksums` are (algorithm, value)."""

    number: int
    etag: str
    checksums: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the client says the whole object must be."""

    checksum: Checksum | None = None
    checksum_type: str | None = None
    size_bytes: int | None = None


def create_upload(
    store: Store, new: NewObject, initiator_id: str, checksum_algorithm: str | None, checksum_type: str | None
) -> Upload:
    """Raises: NoSuchBucket, InvalidRequest (a checksum type that the algorithm does not have)."""
    if checksum_algorithm is not None:
        checksum_type = checksum_type or digests.checksum_type_default(checksum_algorithm)
        if checksum_type not in digests.allowed_types(checksum_algorithm):
            raise InvalidRequest(
                f"The {checksum_type} checksum type cannot be used with the {checksum_algorithm.lower()} "
                "checksum algorithm."
            )
    elif checksum_type is not None:
        raise InvalidRequest(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        )
    upload = Upload(
        upload_id=new_upload_id(),
        bucket=new.bucket,
        key=new.key,
        owner_id=new.owner_id,
        initiator_id=initiator_id,
        created_ms=store.now_ms(),
        attributes=new.attributes,
        tags=new.tags,
        acl=new.acl,
        checksum_algorithm=checksum_algorithm,
        checksum_type=checksum_type,
    )
    store.metadata.create_upload(upload, new_op_id())
    return upload


def find_upload(store: Store, bucket: str, key: str, upload_id: str) -> Upload:
    """An open upload, or a completed one that can be completed again. Raises: NoSuchBucket, NoSuchUpload."""
    return store.metadata.upload(bucket, key, upload_id)


def open_upload(store: Store, bucket: str, key: str, upload_id: str) -> Upload:
    """Raises: NoSuchBucket, NoSuchUpload."""
    upload = find_upload(store, bucket, key, upload_id)
    if upload.state is not UploadState.OPEN:
        raise NoSuchUpload(UploadId=upload_id)
    return upload


def require_initiator(upload: Upload, bucket: Bucket, caller_id: str) -> None:
    """Only who began an upload and the bucket's owner may go on with it, list its parts or abort it.

    Raises: AccessDenied.
    """
    if caller_id not in (upload.initiator_id, bucket.owner_id):
        raise AccessDenied


def upload_part(store: Store, upload: Upload, number: int, payload: Payload) -> tuple[Part, Checksum | None]:
    """Receive one part; the checksum the client declared comes back beside the row.

    Raises: EntityTooLarge, NoSuchUpload, InvalidRequest (another algorithm than the upload's), and the body's errors.
    """
    declared = payload.expected.checksum_algorithm
    if declared is not None and upload.checksum_algorithm not in (None, declared):
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {(upload.checksum_algorithm or '').lower()}, "
            f"actual checksum Type: {declared.lower()}"
        )
    received = intake.take_in(
        store,
        store.storage_for(upload.bucket),
        payload,
        max_bytes=min(PART_MAX_BYTES, store.limits.max_object_size_bytes),
        inline_max_bytes=0,
        algorithm=upload.checksum_algorithm,
    )
    if received.content.blob is None:
        raise InvalidRequest
    part = Part(
        number=number,
        size_bytes=received.size_bytes,
        etag=received.md5_hex,
        modified_ms=store.now_ms(),
        blob=received.content.blob,
        checksum=received.checksum,
    )
    try:
        store.metadata.put_part(upload.bucket, upload.key, upload.upload_id, part, new_op_id())
    except OutcomeUnknown:
        raise
    except S3Error:
        intake.give_up(store, part.blob)
        raise
    return part, received.declared


def complete_upload(
    store: Store,
    bucket: str,
    key: str,
    upload_id: str,
    listed: Sequence[ListedPart],
    asked: Asked,
    condition: Condition | None,
) -> Stored:
    """Publish the listed parts as one object, in one commit whatever their number (I5).

    A repeated Complete of the same list gives the same answer, conditions notwithstanding.
    Raises: NoSuchUpload, InvalidPartOrder, InvalidPart, EntityTooSmall, EntityTooLarge, BadDigest, InvalidRequest,
    and what `MetadataStore.publish` raises.
    """
    _require_ascending(listed)
    version_id = new_version_id()
    for _ in range(COMPLETE_ATTEMPTS_MAX):
        upload = store.metadata.upload(bucket, key, upload_id)
        if upload.state is UploadState.COMPLETED:
            return _answer_again(upload, listed)
        parts = _listed_rows(store, upload, listed)
        new = _assemble(store, upload, parts, asked, version_id)
        try:
            published = store.metadata.publish(new, condition, new_op_id())
        except (ConditionalRequestConflict, NoSuchUpload):
            # Parts came or another Complete won since the list was read: look again and decide anew.
            continue
        return Stored(published, new.etag, new.size_bytes, new.checksum)
    raise ConditionalRequestConflict


def abort_upload(store: Store, bucket: str, key: str, upload_id: str) -> None:
    """Raises: NoSuchBucket, NoSuchUpload."""
    store.metadata.abort_upload(bucket, key, upload_id, new_op_id(), store.now_ms())


def list_parts(store: Store, upload: Upload, after: int, limit: int) -> tuple[Sequence[Part], bool]:
    """Parts numbered above `after`, at most `limit`, and whether there are more."""
    rows = store.metadata.parts(upload.upload_id, after + 1, multipart.PART_NUMBER_MAX, limit + 1)
    return rows[:limit], limit > 0 and len(rows) > limit


def list_uploads(store: Store, query: UploadQuery) -> Page[Upload]:
    return store.metadata.list_uploads(query)


def _require_ascending(listed: Sequence[ListedPart]) -> None:
    for earlier, later in itertools.pairwise(listed):
        if later.number <= earlier.number:
            raise InvalidPartOrder


def _answer_again(upload: Upload, listed: Sequence[ListedPart]) -> Stored:
    done = upload.completed
    etags = [part.etag for part in listed]
    if done is None or not all(map(_IS_MD5, etags)) or digests.multipart_etag(etags) != done.etag:
        raise NoSuchUpload(UploadId=upload.upload_id)
    published = Published(done.version_id, 0, upload.created_ms, done.versioning)
    return Stored(published, done.etag, sum(run.count * run.size_bytes for run in done.runs), done.checksum)


def _listed_rows(store: Store, upload: Upload, listed: Sequence[ListedPart]) -> list[Part]:
    """The rows of the client's list, each checked against it. Raises: InvalidPart, EntityTooSmall, InvalidRequest."""
    numbers = [part.number for part in listed]
    rows = {row.number: row for row in part_rows(store, Manifest(upload.upload_id, ()), numbers)}
    parts = []
    for position, wanted in enumerate(listed):
        row = rows.get(wanted.number)
        if row is None or row.etag != wanted.etag:
            raise InvalidPart(UploadId=upload.upload_id, PartNumber=str(wanted.number), ETag=wanted.etag)
        _check_part_checksum(upload, wanted, row)
        if row.size_bytes < PART_MIN_BYTES and position < len(listed) - 1:
            raise EntityTooSmall(
                ProposedSize=str(row.size_bytes),
                MinSizeAllowed=str(PART_MIN_BYTES),
                PartNumber=str(row.number),
                ETag=row.etag,
            )
        parts.append(row)
    return parts


def _check_part_checksum(upload: Upload, wanted: ListedPart, row: Part) -> None:
    for algorithm, value in wanted.checksums:
        if row.checksum != Checksum(algorithm, value):
            raise InvalidPart(UploadId=upload.upload_id, PartNumber=str(wanted.number), ETag=wanted.etag)
    algorithm_name = upload.checksum_algorithm
    if algorithm_name and upload.checksum_type == "COMPOSITE" and not wanted.checksums:
        raise InvalidRequest(
            f"The upload was created using a {algorithm_name.lower()} checksum. The complete request must include "
            f"the checksum for each part. It was missing for part {wanted.number} in the request."
        )


def _assemble(
    store: Store,
    upload: Upload,
    parts: Sequence[Part],
    asked: Asked,
    version_id: str,
) -> NewVersion:
    size_bytes = sum(part.size_bytes for part in parts)
    if size_bytes > store.limits.max_object_size_bytes:
        raise EntityTooLarge(ProposedSize=str(size_bytes), MaxSizeAllowed=str(store.limits.max_object_size_bytes))
    if asked.size_bytes is not None and asked.size_bytes != size_bytes:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {asked.size_bytes} does not match what was computed: "
            f"{size_bytes}"
        )
    runs = multipart.runs_of([(part.number, part.size_bytes) for part in parts])
    return NewVersion(
        bucket=upload.bucket,
        key=upload.key,
        version_id=version_id,
        owner_id=upload.owner_id,
        created_ms=store.now_ms(),
        size_bytes=size_bytes,
        etag=digests.multipart_etag([part.etag for part in parts]),
        content=Content(manifest=Manifest(upload.upload_id, runs)),
        attributes=upload.attributes,
        tags=upload.tags,
        acl=upload.acl,
        checksum=_object_checksum(upload, parts, asked),
        completes=Completion(upload.upload_id, upload.revision),
    )


def _object_checksum(upload: Upload, parts: Sequence[Part], asked: Asked) -> Checksum | None:
    """CRCs of the whole are combined from the parts', never read again; the others are hashes of hashes.

    An upload that named no algorithm has the one that all its parts came with, and none where they differ.
    """
    algorithms = {part.checksum.algorithm for part in parts if part.checksum is not None}
    algorithm = upload.checksum_algorithm or (algorithms.pop() if len(algorithms) == 1 else None)
    if algorithm is None:
        if asked.checksum is not None or asked.checksum_type is not None:
            raise InvalidRequest("The parts were uploaded with different checksum algorithms.")
        return None
    kind = upload.checksum_type or _undeclared_type(algorithm)
    if asked.checksum_type is not None and asked.checksum_type != kind:
        raise InvalidRequest(
            f"The upload was created using the {kind} checksum mode. The complete request must use the same "
            "checksum mode."
        )
    values = [(part.checksum.value, part.size_bytes) for part in parts if part.checksum is not None]
    if kind == "COMPOSITE":
        value = digests.composite_checksum(algorithm, [value for value, _ in values])
    else:
        value = digests.combine_crcs(algorithm, values)
    computed = Checksum(algorithm, value, kind)
    if asked.checksum is not None:
        _compare(asked.checksum, computed)
    return computed


def _undeclared_type(algorithm: str) -> str:
    """Of an upload that was created without a word on checksums: of the whole object where that can be combined."""
    types = digests.allowed_types(algorithm)
    return digests.FULL_OBJECT if digests.FULL_OBJECT in types else types[0]


def _compare(asked: Checksum, computed: Checksum) -> None:
    if asked.algorithm != computed.algorithm:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {computed.algorithm.lower()}, "
            f"actual checksum Type: {asked.algorithm.lower()}"
        )
    # A composite value may come without its "-N".
    if asked.value not in (computed.value, computed.value.partition("-")[0]):
        raise BadDigest(
            f"The {asked.algorithm} you specified did not match the calculated checksum.",
            ExpectedDigest=asked.value,
            CalculatedDigest=computed.value,
        )
