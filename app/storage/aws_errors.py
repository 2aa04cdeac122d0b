"""What botocore's exceptions and S3's error codes mean to a storage back end.

Services that speak S3 invent codes of their own, so an unknown one is judged by its status. Source: "Error responses",
AWS S3 API reference; for a full service, the codes that MinIO and Ceph give.
"""

from __future__ import annotations

import ssl

import urllib3.exceptions
from botocore import exceptions
from botocore.parsers import ResponseParserError

from app.storage.remote_calls import Kind, Trouble, describe, kind_of_status

_CODES = {
    Kind.THROTTLED: {
        "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "TooManyRequests",
        "BandwidthLimitExceeded",
    },
    Kind.FULL: {
        "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage", "StorageFull",
    },
    Kind.AWAY: {"RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "NoSuchUpload"},
    Kind.MISSING: {"NoSuchKey"},
    Kind.SHORT: {"InvalidRange"},
    Kind.WRONG: {"BadDigest", "InvalidDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "InvalidPart"},
}  # fmt: skip
_KINDS = {code: kind for kind, codes in _CODES.items() for code in codes}
_STATUSES = {404: Kind.MISSING, 501: Kind.REFUSED}

_BUCKET = "check storage.aws.bucket"
_KEYS = "check storage.aws.access_key_id and secret_access_key, or what boto3's credential chain finds"
_REGION = "check storage.aws.region and endpoint_url: the bucket is elsewhere"
_ADVICE = {
    "NoSuchBucket": f"there is no such bucket; {_BUCKET}",
    "InvalidBucketName": _BUCKET,
    "AccessDenied": "the credentials may not do this: reading, writing, deleting and listing are needed",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "ExpiredToken": "the session has expired; " + _KEYS,
    "InvalidToken": _KEYS,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "RequestTimeTooSkewed": "this machine's clock is wrong",
}

# What the transport raises, in no message of which a signed URL would matter: only its name is told.
_TRANSPORT = (
    exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError, ResponseParserError,
    urllib3.exceptions.HTTPError, ConnectionError, TimeoutError, ssl.SSLError,
)  # fmt: skip
_CREDENTIALS = (
    exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.CredentialRetrievalError,
    exceptions.NoAuthTokenError, exceptions.TokenRetrievalError,
)  # fmt: skip


def classify(error: Exception) -> Trouble | None:
    """None for what neither botocore nor a connection has raised."""
    if isinstance(error, exceptions.ClientError):
        return _of_answer(error)
    if isinstance(error, _CREDENTIALS):
        return Trouble(Kind.REFUSED, describe(error), _KEYS)
    if isinstance(error, exceptions.ProfileNotFound):
        return Trouble(Kind.REFUSED, describe(error), "there is no profile of the name that AWS_PROFILE holds")
    if isinstance(error, exceptions.NoRegionError):
        return Trouble(Kind.REFUSED, describe(error), "set storage.aws.region")
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Trouble(Kind.REFUSED, describe(error), "the certificate of storage.aws.endpoint_url is not trusted here")
    if isinstance(error, _TRANSPORT):
        return Trouble(Kind.AWAY, describe(error))
    if isinstance(error, exceptions.BotoCoreError):
        return Trouble(Kind.REFUSED, describe(error), "check the settings below storage.aws")
    return None


def code_of(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_answer(error: exceptions.ClientError) -> Trouble:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = _KINDS.get(code)
    if kind is None and code not in _ADVICE:
        kind = _STATUSES.get(status) or kind_of_status(status) or (Kind.AWAY if status < 300 else Kind.REFUSED)
    return Trouble(kind or Kind.REFUSED, code or str(status), _ADVICE.get(code, ""))
