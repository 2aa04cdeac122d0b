"""The application of the Compose file: it puts, gets, lists, and hands out a URL and a form, as web applications do."""

import os
import urllib.request

import boto3

s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"])
s3.put_object(Bucket="uploads", Key="hello.txt", Body=b"hello", ContentType="text/plain")
assert s3.get_object(Bucket="uploads", Key="hello.txt")["Body"].read() == b"hello"
assert [each["Key"] for each in s3.list_objects_v2(Bucket="uploads")["Contents"]] == ["hello.txt"]
url = s3.generate_presigned_url("get_object", {"Bucket": "uploads", "Key": "hello.txt"})
assert urllib.request.urlopen(url).read() == b"hello"
public = f"{os.environ['S3_ENDPOINT']}/uploads/hello.txt"
assert urllib.request.urlopen(public).read() == b"hello"
assert s3.generate_presigned_post("uploads", "form.txt")["fields"]["key"] == "form.txt"
print("the application is content")
