"""The contract of app/metadata/base.py as tests. Take it over in a class with a `store` fixture:

    class TestMine(MetadataContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path)
            store.open()
            yield store
            store.close()

README.md beside this file says what an engine needs and how to read a failure.
"""

from __future__ import annotations

from tests.contract.metadata.buckets import BucketContract
from tests.contract.metadata.conditions import ConditionContract
from tests.contract.metadata.durable import DurableContract
from tests.contract.metadata.garbage import GarbageContract
from tests.contract.metadata.listing import ListingContract
from tests.contract.metadata.moving import MoveContract
from tests.contract.metadata.orphans import OrphanContract
from tests.contract.metadata.publishing import PublishContract
from tests.contract.metadata.removing import RemoveContract
from tests.contract.metadata.uploads import UploadContract
from tests.contract.metadata.whole import WholeContract


class MetadataContract(
    BucketContract,
    PublishContract,
    ConditionContract,
    RemoveContract,
    ListingContract,
    UploadContract,
    GarbageContract,
    OrphanContract,
    MoveContract,
    WholeContract,
):
    """Every sentence of the contract that holds for every engine."""


class DurableMetadataContract(MetadataContract, DurableContract):
    """And what holds for an engine whose data outlives the process."""
