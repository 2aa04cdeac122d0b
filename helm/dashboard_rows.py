"""What the dashboard shows: rows that are questions, and the panels that answer them."""

from __future__ import annotations

from helm.dashboard import Panel, Query, Row

RED_BELOW_ONE = ((None, "red"), (1.0, "green"))
LATE = ((None, "green"), (3_600.0, "orange"), (86_400.0, "red"))


def _rate(name: str, by: str = "", where: str = "") -> str:
    """Of a counter, per second, added up by some of its labels."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate(bleepstore_{name}{{SELECT{where}}}[RATE]))"


def _quantile(quantile: float, name: str, by: str = "") -> str:
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({grouped}) (rate(bleepstore_{name}_bucket{{SELECT}}[RATE])))"


def _mean(name: str, by: str = "") -> str:
    return f"{_rate(f'{name}_sum', by)} / {_rate(f'{name}_count', by)}"


def _stat(title: str, expr: str, unit: str = "short", **more: object) -> Panel:
    return Panel(title, (Query(expr),), unit, "stat", width=4, height=4, **more)  # type: ignore[arg-type]


FAILED = "(" + _rate("s3_operations_total", where=',status=~"5.."') + " or vector(0))"
BUSIEST = "topk(10, " + _rate("s3_requests_total", "bucket", ',bucket=~"$bucket"') + ")"

UP = Row(
    "Is it up?",
    (
        _stat("Servers that answer", "sum(up{SELECT})", steps=RED_BELOW_ONE),
        _stat("Workers", "sum(bleepstore_workers{SELECT})", steps=RED_BELOW_ONE),
        _stat(
            "Answered without a fault of ours",
            f"1 - {FAILED} / {_rate('s3_operations_total')}",
            "percentunit",
            text="The share of requests whose status is not 5xx.",
            steps=((None, "red"), (0.99, "orange"), (0.999, "green")),
        ),
        _stat("Requests a second", _rate("s3_operations_total"), "reqps"),
        _stat("Up for", "time() - max(bleepstore_process_start_time_seconds{SELECT})", "s"),
        Panel(
            "Versions", (Query("count by (version) (bleepstore_build_info{SELECT})", "{{version}}"),), "short", "stat", 4, 4,
            options={"textMode": "value_and_name"},
        ),
    ),
)  # fmt: skip

FAST = Row(
    "How fast is it?",
    (
        Panel(
            "Requests by operation",
            (Query(_rate("s3_operations_total", "operation"), "{{operation}}"),),
            "reqps",
            is_stacked=True,
        ),
        Panel(
            "How long requests take",
            tuple(
                Query(_quantile(q, "s3_request_duration_seconds"), label)
                for q, label in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
            ),
            "s",
            text="From a request's head to the last byte of its answer: large objects take as long as their clients.",
        ),
        Panel(
            "Time to the first byte, 99 %",
            (Query(_quantile(0.99, "s3_time_to_first_byte_seconds", "operation"), "{{operation}}"),),
            "s",
            text="What the server itself needs, whatever the size of the answer.",
        ),
        Panel(
            "Traffic",
            (Query(_rate("bytes_received_total"), "received"), Query(_rate("bytes_sent_total"), "sent")),
            "Bps",
        ),
        Panel("Under way", (Query("sum by (instance) (bleepstore_s3_requests_in_flight{SELECT})", "{{instance}}"),)),
        Panel(
            "Checking signatures, mean by stage",
            (Query(_mean("auth_duration_seconds", "stage"), "{{stage}}"),),
            "s",
            text="A sample of the signatures that are read anew.",
        ),
    ),
)

FAILS = Row(
    "What fails?",
    (
        Panel("Errors by code", (Query(_rate("s3_errors_total", "s3_code"), "{{s3_code}}"),), "reqps"),
        Panel(
            "Answers by status",
            (Query(_rate("s3_operations_total", "status"), "{{status}}"),),
            "reqps",
            is_stacked=True,
        ),
        Panel(
            "Refused before S3, or told to slow down",
            (Query(_rate("s3_rejected_total", "reason"), "{{reason}}"),),
            "reqps",
            text="Bad heads, slow clients, full workers, and 503 SlowDown.",
        ),
    ),
)

USERS = Row(
    "Who uses it?",
    (
        Panel("Requests by bucket, the ten busiest", (Query(BUSIEST, "{{bucket}}"),), "reqps"),
        Panel("Failed requests by bucket", (Query(_rate("s3_requests_total", "bucket, code", ',bucket=~"$bucket",code=~"[45].."'), "{{bucket}} {{code}}"),), "reqps"),
        Panel("The ten largest buckets", (Query('topk(10, max by (bucket) (bleepstore_bucket_bytes{SELECT,bucket=~"$bucket"}))', "{{bucket}}"),), "bytes", "bargauge"),
        Panel("Sizes of objects written", (Query("sum by (le) (increase(bleepstore_object_size_bytes_bucket{SELECT}[RATE]))", "{{le}}"),), "bytes", "heatmap"),
    ),
)  # fmt: skip

FULL = Row(
    "Will it fill up?",
    (
        Panel(
            "Disks, share used",
            (Query("1 - min by (instance, disk) (bleepstore_disk_free_bytes{SELECT} / bleepstore_disk_size_bytes{SELECT})", "{{instance}} {{disk}}"),),
            "percentunit",
            maximum=1.0,
        ),
        Panel(
            "Free in a day, as the last six hours went",
            (Query("predict_linear(bleepstore_disk_free_bytes{SELECT}[6h], 86400)", "{{instance}} {{disk}}"),),
            "bytes",
            "bargauge",
            steps=((None, "red"), (0.0, "orange"), (10e9, "green")),
        ),
        Panel(
            "Bytes and objects kept",
            (Query("sum(bleepstore_bucket_bytes{SELECT})", "bytes"), Query("sum(bleepstore_objects_total{SELECT})", "objects")),
            text="All versions' bytes, and current objects.",
        ),
        Panel(
            "Database and its log",
            (Query("sum by (instance) (bleepstore_sqlite_db_bytes{SELECT})", "database {{instance}}"), Query("sum by (instance) (bleepstore_sqlite_wal_bytes{SELECT})", "log {{instance}}")),
            "bytes",
        ),
        Panel("Uploads that nobody has completed", (Query("sum by (instance) (bleepstore_multipart_uploads_open{SELECT})", "{{instance}}"),)),
    ),
)  # fmt: skip

WRITER = Row(
    "Is the metadata writer the limit?",
    (
        Panel(
            "COMMIT, with its flush to the disk",
            tuple(Query(_quantile(q, "sqlite_commit_duration_seconds"), label) for q, label in ((0.5, "half"), (0.99, "99 %"))),
            "s",
        ),
        Panel(
            "Writes that share a commit, mean",
            (Query(_mean("sqlite_commit_batch_size"), "writes"), Query(_rate("sqlite_commit_duration_seconds_count"), "commits a second")),
            text="Where commits are the limit, more and more writes share one.",
        ),
        Panel("Writes that wait", (Query("sum by (instance) (bleepstore_sqlite_writer_queue_depth{SELECT})", "{{instance}}"),)),
        Panel("Checkpoints, mean", (Query(_mean("sqlite_checkpoint_seconds"), "a step"),), "s"),
    ),
)  # fmt: skip

BACKENDS = Row(
    "Do the back ends answer?",
    (
        Panel("Requests by outcome", (Query(_rate("backend_requests_total", "backend, outcome"), "{{backend}} {{outcome}}"),), "reqps"),
        Panel("How long they take, 99 %", (Query(_quantile(0.99, "backend_duration_seconds", "backend, op"), "{{backend}} {{op}}"),), "s"),
        Panel("Attempts that were repeated", (Query(_rate("backend_retries_total", "backend, op"), "{{backend}} {{op}}"),), "reqps"),
    ),
)  # fmt: skip

WORKERS = Row(
    "Are the workers well?",
    (
        Panel("Memory", (Query("bleepstore_process_resident_memory_bytes{SELECT}", "{{instance}} {{worker}}"),), "bytes", text="Resident; what workers share is in each."),
        Panel("Processor", (Query("rate(bleepstore_process_cpu_seconds_total{SELECT}[RATE])", "{{instance}} {{worker}}"),), "percentunit"),
        Panel("How late the event loop is", (Query("bleepstore_hub_lag_seconds{SELECT}", "{{instance}} {{worker}}"),), "s"),
        Panel("Since background tasks ran well", (Query("time() - max by (instance, task) (bleepstore_background_last_run_timestamp_seconds{SELECT})", "{{instance}} {{task}}"),), "s", "bargauge", steps=LATE),
    ),
)  # fmt: skip

ROWS = (UP, FAST, FAILS, USERS, FULL, WRITER, BACKENDS, WORKERS)
