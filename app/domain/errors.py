"""S3's error codes: one class each, with its HTTP status and default message.

They are the vocabulary of the whole code base: raised where the fact is known, rendered only at the edge.
Source: "Error responses", AWS S3 API reference, with s3-specific corrections recorded in specs/errors.md.
"""

from __future__ import annotations

from typing import ClassVar


class S3Error(Exception):
    """An answer that is not a success. `fields` become elements of the error document, in the order given.

    `headers` are sent beside it: a delete marker's id, for example, or the size in a 416.
    """

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    default: ClassVar[str] = "We encountered an internal error. Please try again."

    def __init__(self, message: str | None = None, *, headers: tuple[tuple[str, str], ...] = (), **fields: str) -> None:
        super().__init__(message or self.default)
        self.message = message or self.default
        self.headers = headers
        self.fields = fields


class InternalError(S3Error):
    pass


class BlobMissing(InternalError):
    """A reference leads to no blob. Never a 404: the row says that there are bytes."""


# -- 304: no error to a user, but an answer without the object ---------------------------------------------------


class NotModified(S3Error):
    code, status, default = "NotModified", 304, "Not Modified"


# -- 400 ---------------------------------------------------------------------------------------------------------


class AuthorizationHeaderMalformed(S3Error):
    code, status, default = "AuthorizationHeaderMalformed", 400, "The authorization header is malformed."


class AuthorizationQueryParametersError(S3Error):
    code, status, default = (
        "AuthorizationQueryParametersError",
        400,
        "Query-string authentication needs the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
        "X-Amz-SignedHeaders and X-Amz-Expires parameters.",
    )


class BadDigest(S3Error):
    code, status, default = "BadDigest", 400, "The digest you specified did not match what was received."


class BadRequest(S3Error):
    code, status, default = "BadRequest", 400, "Bad Request"


class EntityTooLarge(S3Error):
    code, status, default = "EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size."


class EntityTooSmall(S3Error):
    code, status, default = "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size."


class IllegalLocationConstraintException(S3Error):
    code, status, default = (
        "IllegalLocationConstraintException",
        400,
        "The location constraint is incompatible with the region this request was sent to.",
    )


class IllegalVersioningConfigurationException(S3Error):
    code, status, default = (
        "IllegalVersioningConfigurationException",
        400,
        "The versioning configuration specified in the request is invalid.",
    )


class IncompleteBody(S3Error):
    code, status, default = (
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )


class InvalidArgument(S3Error):
    code, status, default = "InvalidArgument", 400, "Invalid Argument"


class InvalidBucketAclWithObjectOwnership(S3Error):
    code, status, default = (
        "InvalidBucketAclWithObjectOwnership",
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting.",
    )


class AccessControlListNotSupported(S3Error):
    code, status, default = "AccessControlListNotSupported", 400, "The bucket does not allow ACLs."


class InvalidBucketName(S3Error):
    code, status, default = "InvalidBucketName", 400, "The specified bucket is not valid."


class InvalidDigest(S3Error):
    code, status, default = "InvalidDigest", 400, "The Content-MD5 you specified is not valid."


class InvalidLocationConstraint(S3Error):
    code, status, default = "InvalidLocationConstraint", 400, "The specified location constraint is not valid."


class InvalidPart(S3Error):
    code, status, default = (
        "InvalidPart",
        400,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag.",
    )


class InvalidPartOrder(S3Error):
    code, status, default = (
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    )


class InvalidRequest(S3Error):
    code, status, default = "InvalidRequest", 400, "Invalid Request"


class InvalidStorageClass(S3Error):
    code, status, default = "InvalidStorageClass", 400, "The storage class you specified is not valid."


class InvalidTag(S3Error):
    code, status, default = "InvalidTag", 400, "The tag provided was not a valid tag."


class InvalidToken(S3Error):
    code, status, default = "InvalidToken", 400, "The provided token is malformed or otherwise invalid."


class InvalidURI(S3Error):
    code, status, default = "InvalidURI", 400, "Couldn't parse the specified URI."


class KeyTooLongError(S3Error):
    code, status, default = "KeyTooLongError", 400, "Your key is too long."


class MalformedPOSTRequest(S3Error):
    code, status, default = (
        "MalformedPOSTRequest",
        400,
        "The body of your POST request is not well-formed multipart/form-data.",
    )


class MaxPostPreDataLengthExceeded(S3Error):
    code, status, default = (
        "MaxPostPreDataLengthExceeded",
        400,
        "Your POST request fields preceding the upload file were too large.",
    )


class InvalidPolicyDocument(S3Error):
    code, status, default = (
        "InvalidPolicyDocument",
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    )


class MalformedPolicy(S3Error):
    code, status, default = "MalformedPolicy", 400, "The policy is not valid JSON, or says what is not understood."


class MalformedACLError(S3Error):
    code, status, default = (
        "MalformedACLError",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema.",
    )


class MalformedTrailerError(S3Error):
    code, status, default = "MalformedTrailerError", 400, "The request contained trailing data that was not valid."


class MalformedXML(S3Error):
    code, status, default = (
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema.",
    )


class MaxMessageLengthExceeded(S3Error):
    code, status, default = "MaxMessageLengthExceeded", 400, "Your request was too big."


class MetadataTooLarge(S3Error):
    code, status, default = (
        "MetadataTooLarge",
        400,
        "Your metadata headers exceed the maximum allowed metadata size.",
    )


class MissingSecurityHeader(S3Error):
    code, status, default = "MissingSecurityHeader", 400, "Your request was missing a required header."


class RequestHeaderSectionTooLarge(S3Error):
    code, status, default = (
        "RequestHeaderSectionTooLarge",
        400,
        "Your request header section exceeds the maximum allowed size.",
    )


class RequestTimeout(S3Error):
    code, status, default = (
        "RequestTimeout",
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    )


class TooManyBuckets(S3Error):
    code, status, default = "TooManyBuckets", 400, "You have attempted to create more buckets than allowed."


class UnexpectedContent(S3Error):
    code, status, default = "UnexpectedContent", 400, "This request does not support content."


class UnresolvableGrantByEmailAddress(S3Error):
    code, status, default = (
        "UnresolvableGrantByEmailAddress",
        400,
        "The e-mail address you provided does not match any account on record.",
    )


class XAmzContentSHA256Mismatch(S3Error):
    code, status, default = (
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )


# -- 403 ---------------------------------------------------------------------------------------------------------


class AccessDenied(S3Error):
    code, status, default = "AccessDenied", 403, "Access Denied"


class AccessForbidden(S3Error):
    code, status, default = (
        "AccessForbidden",
        403,
        "CORSResponse: CORS is not enabled for this bucket.",
    )


class InvalidAccessKeyId(S3Error):
    code, status, default = (
        "InvalidAccessKeyId",
        403,
        "The AWS access key Id you provided does not exist in our records.",
    )


class RequestTimeTooSkewed(S3Error):
    code, status, default = (
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the server's time is too large.",
    )


class SignatureDoesNotMatch(S3Error):
    code, status, default = (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    )


# -- 404 ---------------------------------------------------------------------------------------------------------


class MetadataConfigurationNotFound(S3Error):
    code, status, default = (
        "MetadataConfigurationNotFound",
        404,
        "The metadata configuration for the specified bucket was not found",
    )


class NoSuchAnnotation(S3Error):
    code, status, default = "NoSuchAnnotation", 404, "The specified annotation does not exist."


class NoSuchBucket(S3Error):
    code, status, default = "NoSuchBucket", 404, "The specified bucket does not exist"


class NoSuchBucketPolicy(S3Error):
    code, status, default = "NoSuchBucketPolicy", 404, "The bucket policy does not exist"


class NoSuchCORSConfiguration(S3Error):
    code, status, default = "NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"


class NoSuchConfiguration(S3Error):
    code, status, default = "NoSuchConfiguration", 404, "The specified configuration does not exist."


class NoSuchKey(S3Error):
    code, status, default = "NoSuchKey", 404, "The specified key does not exist."


class NoSuchLifecycleConfiguration(S3Error):
    code, status, default = "NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"


class NoSuchPublicAccessBlockConfiguration(S3Error):
    code, status, default = (
        "NoSuchPublicAccessBlockConfiguration",
        404,
        "The public access block configuration was not found",
    )


class NoSuchTagSet(S3Error):
    code, status, default = "NoSuchTagSet", 404, "The TagSet does not exist"


class NoSuchUpload(S3Error):
    code, status, default = (
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
        "or completed.",
    )


class NoSuchVersion(S3Error):
    code, status, default = "NoSuchVersion", 404, "The specified version does not exist."


class NoSuchWebsiteConfiguration(S3Error):
    code, status, default = (
        "NoSuchWebsiteConfiguration",
        404,
        "The specified bucket does not have a website configuration",
    )


class ObjectLockConfigurationNotFoundError(S3Error):
    code, status, default = (
        "ObjectLockConfigurationNotFoundError",
        404,
        "Object Lock configuration does not exist for this bucket",
    )


class OwnershipControlsNotFoundError(S3Error):
    code, status, default = (
        "OwnershipControlsNotFoundError",
        404,
        "The bucket ownership controls were not found",
    )


class ReplicationConfigurationNotFoundError(S3Error):
    code, status, default = (
        "ReplicationConfigurationNotFoundError",
        404,
        "The replication configuration was not found",
    )


class ServerSideEncryptionConfigurationNotFoundError(S3Error):
    code, status, default = (
        "ServerSideEncryptionConfigurationNotFoundError",
        404,
        "The server side encryption configuration was not found",
    )


# -- 405, 409, 411, 412, 414, 416, 417 ---------------------------------------------------------------------------


class MethodNotAllowed(S3Error):
    code, status, default = "MethodNotAllowed", 405, "The specified method is not allowed against this resource."


class BucketAlreadyExists(S3Error):
    code, status, default = (
        "BucketAlreadyExists",
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
    )


class BucketAlreadyOwnedByYou(S3Error):
    code, status, default = (
        "BucketAlreadyOwnedByYou",
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    )


class BucketNotEmpty(S3Error):
    code, status, default = "BucketNotEmpty", 409, "The bucket you tried to delete is not empty"


class ConditionalRequestConflict(S3Error):
    code, status, default = (
        "ConditionalRequestConflict",
        409,
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    )


class OperationAborted(S3Error):
    code, status, default = (
        "OperationAborted",
        409,
        "A conflicting conditional operation is currently in progress against this resource. Try again.",
    )


class MissingContentLength(S3Error):
    code, status, default = "MissingContentLength", 411, "You must provide the Content-Length HTTP header."


class PreconditionFailed(S3Error):
    code, status, default = (
        "PreconditionFailed",
        412,
        "At least one of the pre-conditions you specified did not hold",
    )


class InvalidRange(S3Error):
    code, status, default = "InvalidRange", 416, "The requested range is not satisfiable"


class InvalidPartNumber(S3Error):
    code, status, default = "InvalidPartNumber", 416, "The requested partnumber is not satisfiable"


# -- 501, 503 ----------------------------------------------------------------------------------------------------


class S3NotImplemented(S3Error):
    """S3's NotImplemented; named apart from Python's own."""

    code, status, default = (
        "NotImplemented",
        501,
        "A header or query you provided requests functionality that is not implemented.",
    )


class ServiceUnavailable(S3Error):
    code, status, default = "ServiceUnavailable", 503, "Service is unable to handle request."


class SlowDown(S3Error):
    code, status, default = "SlowDown", 503, "Please reduce your request rate."
