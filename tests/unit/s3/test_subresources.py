"""Our list of sub-resources is AWS's."""

from __future__ import annotations

import botocore.session

from app.s3.subresources import BUCKET_SUBRESOURCES, OBJECT_SUBRESOURCES, OF_BUCKETS, OF_OBJECTS

# Parameters that the model writes into the request line but that select nothing by themselves: they have a value.
_WITH_VALUES = {"list-type", "select-type"}


def _in_model(is_object: bool) -> set[str]:
    model = botocore.session.get_session().get_service_model("s3")
    names: set[str] = set()
    for operation in model.operation_names:
        path, _, query = model.operation_model(operation).http["requestUri"].partition("?")
        if "{Bucket}" in path and ("{Key+}" in path) == is_object:
            names |= {parameter.partition("=")[0] for parameter in query.split("&") if parameter}
    return names - _WITH_VALUES


def test_every_sub_resource_of_the_service_model_is_known() -> None:
    assert _in_model(is_object=False) == OF_BUCKETS
    assert _in_model(is_object=True) == OF_OBJECTS


def test_a_name_is_known_on_buckets_and_objects_alike() -> None:
    assert BUCKET_SUBRESOURCES == OBJECT_SUBRESOURCES == OF_BUCKETS | OF_OBJECTS
    assert {"policy", "cors", "lifecycle"} <= OBJECT_SUBRESOURCES
    assert {"attributes", "retention", "restore"} <= BUCKET_SUBRESOURCES
