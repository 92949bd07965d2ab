"""The review page of a job."""
