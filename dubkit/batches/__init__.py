"""Many films with many dubs: found, checked, done, reported."""

from dubkit.batches.find_jobs import BatchRequest, Checked
from dubkit.batches.jobs import JobState, Shard, batch_status, outcome_files
from dubkit.batches.pairing import PATTERNS
from dubkit.batches.run_batch import (
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
    "open_batch",
    "open_report",
    "outcome_files",
    "run_batch",
    "write_junit",
]
