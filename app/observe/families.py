"""Every family of metrics that is counted while the server runs: its name, what it says, its labels and buckets.

One table, so that names are looked up here and nowhere else: files of counts (cells.py) name families by it, and scrapes
write HELP and TYPE from it. What is read when a scrape asks stands in collectors of its own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["counter", "histogram", "gauge"]

# Prometheus' own, and three below for what is answered from memory.
DURATION_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
SIZE_BUCKETS_BYTES = tuple(float(256 * 4**power) for power in range(10))  # 256 bytes to 64 MiB
# A file's opening takes microseconds, and a request to a service that is repeated may take half a minute.
BACKEND_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
AUTH_BUCKETS_S = (0.000001, 0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01)
COMMIT_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
SWEEP_BUCKETS_S = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0)

AUTH_SAMPLED_OF = 64  # of so many signatures that are read anew the stages of one are timed


class Family(NamedTuple):
    """`name` without the prefix that all have, a counter's with `_total`. `buckets` are a histogram's upper bounds.

    `always` are labels that a scrape shows before anything was counted: what appears with its first count has no rate.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    always: tuple[tuple[str, ...], ...] = ()


PREFIX = "bleepstore_"

# -- Made from requests: each is counted once, and these are what a scrape makes of it (requests.py) -----------------

_ENDED = "A request is counted when its answer begins to be sent"
_DURATION = "From a request's head to when the last piece of its answer is handed to the system for sending"

HTTP_REQUESTS = Family(
    "http_requests_total", "counter", f"Requests for S3 and for the service's own paths. {_ENDED}",
    ("method", "path", "status"),
)  # fmt: skip
HTTP_DURATION = Family("http_request_duration_seconds", "histogram", _DURATION, ("method", "path"), DURATION_BUCKETS_S)
HTTP_REQUEST_SIZE = Family(
    "http_request_size_bytes", "histogram", "Bytes of a request's body, as received", ("method", "path"),
    SIZE_BUCKETS_BYTES,
)  # fmt: skip
HTTP_RESPONSE_SIZE = Family(
    "http_response_size_bytes", "histogram", "Bytes of an answer's body, as handed over for sending",
    ("method", "path"), SIZE_BUCKETS_BYTES,
)  # fmt: skip
S3_OPERATIONS = Family(
    "s3_operations_total", "counter", "S3 requests by operation; Unknown where none was found", ("operation", "status")
)
S3_REQUESTS = Family(
    "s3_requests_total", "counter",
    "S3 requests by operation, HTTP status and bucket: one that exists and is among the first "
    "observability.bucket_labels_max, else __other__; empty where no bucket was found",
    ("operation", "code", "bucket"),
)  # fmt: skip
S3_DURATION = Family("s3_request_duration_seconds", "histogram", _DURATION, ("operation",), DURATION_BUCKETS_S)
S3_FIRST_BYTE = Family(
    "s3_time_to_first_byte_seconds", "histogram",
    "From a request's head to when the first piece of its answer is handed to the system for sending; "
    "the duration where the answer is sent whole",
    ("operation",), DURATION_BUCKETS_S,
)  # fmt: skip
S3_ERRORS = Family("s3_errors_total", "counter", "S3 errors that were answered, by their code", ("s3_code",))
REASONS = (
    "bad_request", "head_timeout", "connection_limit", "descriptors", "too_slow", "failed", "slow_down",
)  # fmt: skip
S3_REJECTED = Family(
    "s3_rejected_total", "counter",
    "Refused before S3 was asked, or without it: bad_request and head_timeout (the head), connection_limit (each look of "
    "a full worker at newcomers that wait), descriptors (none free), too_slow (the client), failed (no answer could be "
    "made), slow_down (answered 503, and in the other counts too)",
    ("reason",), (), tuple((reason,) for reason in REASONS),
)  # fmt: skip
BYTES_RECEIVED = Family("bytes_received_total", "counter", "Bytes of S3 requests' bodies")
BYTES_SENT = Family("bytes_sent_total", "counter", "Bytes of S3 answers' bodies")

# -- Counted by themselves -------------------------------------------------------------------------------------------

S3_IN_FLIGHT = Family("s3_requests_in_flight", "gauge", "S3 requests under way that are not answered from memory")
OBJECT_SIZE = Family("object_size_bytes", "histogram", "Sizes of objects that were written", (), SIZE_BUCKETS_BYTES)
AUTH_STAGES = ("parse", "key", "canonical", "compare")
AUTH_DURATION = Family(
    "auth_duration_seconds", "histogram",
    f"Stages of reading and checking a signature, of one in {AUTH_SAMPLED_OF} that are read anew",
    ("stage",), AUTH_BUCKETS_S, tuple((stage,) for stage in AUTH_STAGES),
)  # fmt: skip
SQLITE_COMMIT = Family(
    "sqlite_commit_duration_seconds", "histogram", "COMMIT of a group of writes, with its flush to the disk", (),
    COMMIT_BUCKETS_S,
)  # fmt: skip
SQLITE_BATCH = Family("sqlite_commit_batch_size", "histogram", "Writes that shared a commit", (), BATCH_BUCKETS)
SQLITE_BUSY = Family(
    "sqlite_busy_total", "counter", "How often SQLite was busy when the writer asked to begin, or to checkpoint"
)
SQLITE_CHECKPOINT = Family(
    "sqlite_checkpoint_seconds", "histogram",
    "Steps of checkpoints: those beside the writers, and those that end one in the writer's turn", (),
    DURATION_BUCKETS_S,
)  # fmt: skip
SQLITE_QUEUE = Family(
    "sqlite_writer_queue_depth", "gauge", "Writes that wait in the workers' queues, looked at 4 times a second"
)
BACKEND_REQUESTS = Family(
    "backend_requests_total", "counter", "Requests to a storage back end that ended, each attempt by itself",
    ("backend", "op", "outcome"),
)  # fmt: skip
BACKEND_DURATION = Family(
    "backend_duration_seconds", "histogram", "How long they took", ("backend", "op"), BACKEND_BUCKETS_S
)
BACKEND_RETRIES = Family(
    "backend_retries_total", "counter", "Attempts that failed and were repeated", ("backend", "op")
)
BACKGROUND_RUNS = Family(
    "background_runs_total",
    "counter",
    "Runs of background tasks that ended: ok, failed",
    ("task", "outcome"),
    (),
    (("sweep", "ok"), ("sweep", "failed")),
)
BACKGROUND_ACTIONS = Family("background_actions_total", "counter", "What they did", ("task", "action"))
BACKGROUND_LAST = Family(
    "background_last_run_timestamp_seconds",
    "gauge",
    "When the last run that went well ended, since the epoch",
    ("task",),
)
BACKGROUND_DURATION = Family(
    "background_duration_seconds", "histogram", "How long a run took, its pauses included", ("task",), SWEEP_BUCKETS_S
)
HUB_LAG = Family(
    "hub_lag_seconds",
    "gauge",
    "By how much a worker's event loop was late at most, in the last 15 to 30 seconds",
    ("worker",),
)
BUILD_INFO = Family("build_info", "gauge", "Always 1", ("version",))

FAMILIES = (
    HTTP_REQUESTS, HTTP_DURATION, HTTP_REQUEST_SIZE, HTTP_RESPONSE_SIZE,
    S3_OPERATIONS, S3_REQUESTS, S3_DURATION, S3_FIRST_BYTE, S3_IN_FLIGHT, S3_ERRORS, S3_REJECTED,
    BYTES_RECEIVED, BYTES_SENT, OBJECT_SIZE, AUTH_DURATION,
    SQLITE_COMMIT, SQLITE_BATCH, SQLITE_BUSY, SQLITE_CHECKPOINT, SQLITE_QUEUE,
    BACKEND_REQUESTS, BACKEND_DURATION, BACKEND_RETRIES,
    BACKGROUND_RUNS, BACKGROUND_ACTIONS, BACKGROUND_LAST, BACKGROUND_DURATION,
    HUB_LAG, BUILD_INFO,
)  # fmt: skip
BY_NAME = {family.name: family for family in FAMILIES}
