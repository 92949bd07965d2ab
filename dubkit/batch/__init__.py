"""Many films with many dubs: found, checked, done, told."""

from dubkit.batch.check import Checked, Request
from dubkit.batch.jobs import Shard
from dubkit.batch.junit import open_report, write_junit
from dubkit.batch.pairing import PATTERNS
from dubkit.batch.run_batch import Batch, BatchResult, open_batch, run_batch
from dubkit.batch.status import JobState, batch_status, books

__all__ = [
    "PATTERNS",
    "Batch",
    "BatchResult",
    "Checked",
    "JobState",
    "Request",
    "Shard",
    "batch_status",
    "books",
    "open_batch",
    "open_report",
    "run_batch",
    "write_junit",
]
