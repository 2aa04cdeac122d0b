"""Configurations that AWS has and this server cannot hold yet: what is asked has its "nothing configured" answer.

Tools probe these on every bucket, so GET never fails with 501. A change is refused by name, after authorisation and
without reading its body; to delete what is absent is no error. Nothing is touched by any of them.
Source: specs/routing.md.
"""

from __future__ import annotations

from app.domain.errors import (
    InvalidRequest,
    MetadataConfigurationNotFound,
    NoSuchAnnotation,
    NoSuchConfiguration,
    NoSuchCORSConfiguration,
    NoSuchLifecycleConfiguration,
    NoSuchPublicAccessBlockConfiguration,
    NoSuchWebsiteConfiguration,
    ObjectLockConfigurationNotFoundError,
    ReplicationConfigurationNotFoundError,
    S3Error,
    S3NotImplemented,
    ServerSideEncryptionConfigurationNotFoundError,
)
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.routing import Needs, View
from app.s3.views.common import require_object

bp = S3Blueprint("unconfigured")

BUCKET = "/<bucket>"
OBJECT = "/<bucket>/<key:key>"


def _says(answer: bytes) -> View:
    def say(_: S3Request) -> S3Response:
        return xml_response(answer)

    return say


def _lacks(error: type[S3Error]) -> View:
    def refuse(request: S3Request) -> S3Response:
        raise error(BucketName=request.bucket.name)

    return refuse


def _lists(root: str) -> View:
    """Configurations with ids: none of the asked id, or an empty list."""
    listed = xml.empty_list(root)

    def list_or_get(request: S3Request) -> S3Response:
        if "id" in request.query:
            raise NoSuchConfiguration(BucketName=request.bucket.name)
        return xml_response(listed)

    return list_or_get


def _gone(_: S3Request) -> S3Response:
    return S3Response(204)


def _refused(request: S3Request) -> S3Response:
    raise S3NotImplemented(f"{request.rule.operation} is not implemented.")


def _without_lock(request: S3Request) -> S3Response:
    if request.method == "GET":
        require_object(request)
    raise InvalidRequest("Bucket is missing Object Lock Configuration")


def _annotations(request: S3Request) -> S3Response:
    version = require_object(request)
    if request.method == "DELETE":
        return S3Response(204)
    if "annotationName" in request.query:
        raise NoSuchAnnotation(Key=version.key)
    return xml_response(_NO_ANNOTATIONS)


_ANALYTICS = _lists("ListBucketAnalyticsConfigurationResult")
_INVENTORY = _lists("ListInventoryConfigurationsResult")
_METRICS = _lists("ListMetricsConfigurationsResult")
_TIERING = _lists("ListBucketIntelligentTieringConfigurationsOutput")
_NO_ANNOTATIONS = xml.empty_list("ListObjectAnnotationsOutput")

# method, sub-resource, operation, action without "s3:", view. A change that shares AWS's action shares it here.
_BUCKET_TABLE: tuple[tuple[str, str, str, str, View], ...] = (
    ("GET", "abac", "GetBucketAbac", "GetBucketAbac", _says(xml.abac_status())),
    ("PUT", "abac", "PutBucketAbac", "PutBucketAbac", _refused),
    ("GET", "accelerate", "GetBucketAccelerateConfiguration", "GetAccelerateConfiguration",
     _says(xml.accelerate_configuration())),
    ("PUT", "accelerate", "PutBucketAccelerateConfiguration", "PutAccelerateConfiguration", _refused),
    ("GET", "analytics", "GetBucketAnalyticsConfiguration", "GetAnalyticsConfiguration", _ANALYTICS),
    ("PUT", "analytics", "PutBucketAnalyticsConfiguration", "PutAnalyticsConfiguration", _refused),
    ("DELETE", "analytics", "DeleteBucketAnalyticsConfiguration", "PutAnalyticsConfiguration", _gone),
    ("GET", "cors", "GetBucketCors", "GetBucketCORS", _lacks(NoSuchCORSConfiguration)),
    ("PUT", "cors", "PutBucketCors", "PutBucketCORS", _refused),
    ("DELETE", "cors", "DeleteBucketCors", "PutBucketCORS", _gone),
    ("GET", "encryption", "GetBucketEncryption", "GetEncryptionConfiguration",
     _lacks(ServerSideEncryptionConfigurationNotFoundError)),
    ("PUT", "encryption", "PutBucketEncryption", "PutEncryptionConfiguration", _refused),
    ("DELETE", "encryption", "DeleteBucketEncryption", "PutEncryptionConfiguration", _gone),
    ("GET", "intelligent-tiering", "GetBucketIntelligentTieringConfiguration", "GetIntelligentTieringConfiguration",
     _TIERING),
    ("PUT", "intelligent-tiering", "PutBucketIntelligentTieringConfiguration", "PutIntelligentTieringConfiguration",
     _refused),
    ("DELETE", "intelligent-tiering", "DeleteBucketIntelligentTieringConfiguration",
     "PutIntelligentTieringConfiguration", _gone),
    ("GET", "inventory", "GetBucketInventoryConfiguration", "GetInventoryConfiguration", _INVENTORY),
    ("PUT", "inventory", "PutBucketInventoryConfiguration", "PutInventoryConfiguration", _refused),
    ("DELETE", "inventory", "DeleteBucketInventoryConfiguration", "PutInventoryConfiguration", _gone),
    ("GET", "lifecycle", "GetBucketLifecycleConfiguration", "GetLifecycleConfiguration",
     _lacks(NoSuchLifecycleConfiguration)),
    ("PUT", "lifecycle", "PutBucketLifecycleConfiguration", "PutLifecycleConfiguration", _refused),
    ("DELETE", "lifecycle", "DeleteBucketLifecycle", "PutLifecycleConfiguration", _gone),
    ("GET", "logging", "GetBucketLogging", "GetBucketLogging", _says(xml.bucket_logging_status())),
    ("PUT", "logging", "PutBucketLogging", "PutBucketLogging", _refused),
    ("PUT", "metadataAnnotationTable", "UpdateBucketMetadataAnnotationTableConfiguration",
     "UpdateBucketMetadataAnnotationTableConfiguration", _refused),
    ("GET", "metadataConfiguration", "GetBucketMetadataConfiguration", "GetBucketMetadataTableConfiguration",
     _lacks(MetadataConfigurationNotFound)),
    ("POST", "metadataConfiguration", "CreateBucketMetadataConfiguration", "CreateBucketMetadataTableConfiguration",
     _refused),
    ("DELETE", "metadataConfiguration", "DeleteBucketMetadataConfiguration", "DeleteBucketMetadataTableConfiguration",
     _gone),
    ("PUT", "metadataInventoryTable", "UpdateBucketMetadataInventoryTableConfiguration",
     "UpdateBucketMetadataInventoryTableConfiguration", _refused),
    ("PUT", "metadataJournalTable", "UpdateBucketMetadataJournalTableConfiguration",
     "UpdateBucketMetadataJournalTableConfiguration", _refused),
    ("GET", "metadataTable", "GetBucketMetadataTableConfiguration", "GetBucketMetadataTableConfiguration",
     _lacks(MetadataConfigurationNotFound)),
    ("POST", "metadataTable", "CreateBucketMetadataTableConfiguration", "CreateBucketMetadataTableConfiguration",
     _refused),
    ("DELETE", "metadataTable", "DeleteBucketMetadataTableConfiguration", "DeleteBucketMetadataTableConfiguration",
     _gone),
    ("GET", "metrics", "GetBucketMetricsConfiguration", "GetMetricsConfiguration", _METRICS),
    ("PUT", "metrics", "PutBucketMetricsConfiguration", "PutMetricsConfiguration", _refused),
    ("DELETE", "metrics", "DeleteBucketMetricsConfiguration", "PutMetricsConfiguration", _gone),
    ("GET", "notification", "GetBucketNotificationConfiguration", "GetBucketNotification",
     _says(xml.notification_configuration())),
    ("PUT", "notification", "PutBucketNotificationConfiguration", "PutBucketNotification", _refused),
    ("GET", "object-lock", "GetObjectLockConfiguration", "GetBucketObjectLockConfiguration",
     _lacks(ObjectLockConfigurationNotFoundError)),
    ("PUT", "object-lock", "PutObjectLockConfiguration", "PutBucketObjectLockConfiguration", _refused),
    ("GET", "publicAccessBlock", "GetPublicAccessBlock", "GetBucketPublicAccessBlock",
     _lacks(NoSuchPublicAccessBlockConfiguration)),
    ("PUT", "publicAccessBlock", "PutPublicAccessBlock", "PutBucketPublicAccessBlock", _refused),
    ("DELETE", "publicAccessBlock", "DeletePublicAccessBlock", "PutBucketPublicAccessBlock", _gone),
    ("GET", "replication", "GetBucketReplication", "GetReplicationConfiguration",
     _lacks(ReplicationConfigurationNotFoundError)),
    ("PUT", "replication", "PutBucketReplication", "PutReplicationConfiguration", _refused),
    ("DELETE", "replication", "DeleteBucketReplication", "PutReplicationConfiguration", _gone),
    ("GET", "requestPayment", "GetBucketRequestPayment", "GetBucketRequestPayment", _says(xml.request_payment_configuration())),
    ("PUT", "requestPayment", "PutBucketRequestPayment", "PutBucketRequestPayment", _refused),
    ("GET", "website", "GetBucketWebsite", "GetBucketWebsite", _lacks(NoSuchWebsiteConfiguration)),
    ("PUT", "website", "PutBucketWebsite", "PutBucketWebsite", _refused),
    ("DELETE", "website", "DeleteBucketWebsite", "DeleteBucketWebsite", _gone),
)  # fmt: skip

# Changes are for the bucket's owner alone. Without object lock AWS refuses retention and legal hold as here.
_OBJECT_TABLE: tuple[tuple[str, str, str, str, View, Needs], ...] = (
    ("GET", "annotation", "GetObjectAnnotation", "GetObjectAnnotation", _annotations, Needs.VERSION),
    ("PUT", "annotation", "PutObjectAnnotation", "PutObjectAnnotation", _refused, Needs.BUCKET),
    ("DELETE", "annotation", "DeleteObjectAnnotation", "DeleteObjectAnnotation", _annotations, Needs.VERSION),
    ("PUT", "encryption", "UpdateObjectEncryption", "UpdateObjectEncryption", _refused, Needs.BUCKET),
    ("GET", "legal-hold", "GetObjectLegalHold", "GetObjectLegalHold", _without_lock, Needs.VERSION),
    ("PUT", "legal-hold", "PutObjectLegalHold", "PutObjectLegalHold", _without_lock, Needs.BUCKET),
    ("PUT", "renameObject", "RenameObject", "RenameObject", _refused, Needs.BUCKET),
    ("POST", "restore", "RestoreObject", "RestoreObject", _refused, Needs.BUCKET),
    ("GET", "retention", "GetObjectRetention", "GetObjectRetention", _without_lock, Needs.VERSION),
    ("PUT", "retention", "PutObjectRetention", "PutObjectRetention", _without_lock, Needs.BUCKET),
    ("POST", "select", "SelectObjectContent", "SelectObjectContent", _refused, Needs.BUCKET),
    ("GET", "torrent", "GetObjectTorrent", "GetObjectTorrent", _refused, Needs.BUCKET),
)

_WITH_ID = frozenset({"analytics", "intelligent-tiering", "inventory", "metrics"})
_VERSIONED = frozenset({"annotation", "encryption", "legal-hold", "restore", "retention"})


def _bucket_parameters(method: str, subresource: str) -> tuple[str, ...]:
    if subresource not in _WITH_ID:
        return ()
    return ("id", "continuation-token") if method == "GET" else ("id",)


def _object_parameters(method: str, subresource: str) -> tuple[str, ...]:
    names = ("versionId",) if subresource in _VERSIONED else ()
    if subresource == "select":
        return ("select-type",)
    if subresource == "annotation":
        listing = ("max-annotation-results", "annotation-prefix", "continuation-token")
        return (*names, "annotationName", *(listing if method == "GET" else ()))
    return names


for _method, _subresource, _operation, _action, _view in _BUCKET_TABLE:
    bp.operation(
        _method, BUCKET, name=_operation, action=f"s3:{_action}", subresource=_subresource,
        parameters=_bucket_parameters(_method, _subresource),
    )(_view)  # fmt: skip
for _method, _subresource, _operation, _action, _view, _needs in _OBJECT_TABLE:
    bp.operation(
        _method, OBJECT, name=_operation, action=f"s3:{_action}", subresource=_subresource, needs=_needs,
        parameters=_object_parameters(_method, _subresource),
    )(_view)  # fmt: skip
