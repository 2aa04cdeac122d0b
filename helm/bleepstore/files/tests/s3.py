"""What `helm test` asks of a release: put, get, presign and list, by boto3, in a bucket that is removed again.

Run as `python s3.py CHECK` in the release's own image. S3_ENDPOINT and S3_BUCKET say where; AWS_… variables, who; S3_IS_OPEN,
that signatures are not asked for.
"""

import os
import secrets
import ssl
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

PAYLOADS = (b"", b"small", secrets.token_bytes(1 << 20))  # nothing, a row of the metadata, a blob


def put_get(s3, bucket):
    for number, body in enumerate(PAYLOADS):
        key = f"folder/object {number} ü"
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"number": str(number)})
        answer = s3.get_object(Bucket=bucket, Key=key)
        expect(answer["Body"].read() == body, f"{key} has other bytes than were put")
        expect(answer["Metadata"] == {"number": str(number)}, f"{key} has other metadata than were put")


def presign(s3, bucket):
    body = secrets.token_bytes(1000)
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "signed"}, ExpiresIn=60)
    fetch(urllib.request.Request(upload, data=body, method="PUT"))
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "signed"}, ExpiresIn=60)
    expect(fetch(link) == body, "a presigned URL gave other bytes than were put")
    if "S3_IS_OPEN" in os.environ:
        return
    try:
        fetch(link.partition("?")[0])
    except urllib.error.HTTPError as refusal:
        expect(refusal.code == 403, f"without a signature the answer was {refusal.code}, not 403")
    else:
        raise SystemExit("without a signature the object was given out")


def list_keys(s3, bucket):
    wanted = [f"{folder}/{number:02d}" for folder in ("a", "b") for number in range(12)]
    for key in wanted:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 5})
    found = [each["Key"] for page in pages for each in page["Contents"]]
    expect(found == wanted, f"listed were {found}")
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/").get("CommonPrefixes", [])
    expect([each["Prefix"] for each in folders] == ["a/", "b/"], f"the folders listed were {folders}")
    expect(
        bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]], "the bucket is not in the list of buckets"
    )


CHECKS = {"put-get": put_get, "presign": presign, "list": list_keys}


def main():
    check = CHECKS[sys.argv[1]]
    bucket = f"{os.environ['S3_BUCKET']}-{secrets.token_hex(4)}"
    # Whether the certificate is to be trusted is another question: it may be in the name of the domain.
    s3 = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT"],
        verify=False,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket=bucket)
    try:
        check(s3, bucket)
    finally:
        remove(s3, bucket)
    print(f"{sys.argv[1]}: fine")


def remove(s3, bucket):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=each["Key"])
    s3.delete_bucket(Bucket=bucket)


def fetch(request):
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return answer.read()


def expect(is_so, complaint):
    if not is_so:
        raise SystemExit(complaint)


if __name__ == "__main__":
    main()
