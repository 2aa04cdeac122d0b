"""Training on many small samples: each epoch reads every one once, in another order."""

from __future__ import annotations

from locust import task

from loadtests.scenarios.client import S3User, scenario


@scenario("ml-shuffle")
class MLShuffle(S3User):
    """A worker of a data loader. Those of one process share the epochs, whose times are reported too."""

    @task
    def read(self) -> None:
        number, epoch_s = self.ground.epochs.next()
        settings = self.ground.settings
        if epoch_s is not None:
            self.report("EPOCH", f"of {settings.keys} samples", epoch_s)
        self.get("sample", self.ground.seeded_key(number), settings.object_bytes)
