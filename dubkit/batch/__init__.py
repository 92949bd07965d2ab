"""Many films with many dubs: found, checked, done, reported."""

from dubkit.batch.book import JobState, batch_status, books
from dubkit.batch.check import BatchRequest, Checked
from dubkit.batch.find_jobs import PATTERNS
from dubkit.batch.jobs import Shard
from dubkit.batch.run_batch import (
    Batch,
    BatchResult,
    open_batch,
    open_report,
    run_batch,
    write_junit,
)

__all__ = [
    "PATTERNS",
    "Batch",
    "BatchRequest",
    "BatchResult",
    "Checked",
    "JobState",
    "Shard",
    "batch_status",
    "books",
    "open_batch",
    "open_report",
    "run_batch",
    "write_junit",
]
