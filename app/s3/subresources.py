"""The sub-resources that AWS knows: parameters that select another operation than the base one.

A known name never runs the base operation, on a bucket or an object alike, whether or not this resource has such a
sub-resource: `PUT key?policy` overwrites no object. So both levels know every name. A test compares these with the
service model of botocore; `uploadId` and `partNumber`, parameters in the model, dispatch as well (app/s3/routing.py).
"""

from __future__ import annotations

OF_BUCKETS = frozenset(
    {
        "abac",
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "session",
        "tagging",
        "uploads",
        "versioning",
        "versions",
        "website",
    }
)
OF_OBJECTS = frozenset(
    {
        "acl",
        "annotation",
        "attributes",
        "encryption",
        "legal-hold",
        "renameObject",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "uploads",
    }
)

BUCKET_SUBRESOURCES = OBJECT_SUBRESOURCES = OF_BUCKETS | OF_OBJECTS
