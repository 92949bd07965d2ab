"""The review page of a job: one HTML file made from its work folder."""

from dubkit.review.report_page import VIDEOS, Report, make_report

__all__ = ["VIDEOS", "Report", "make_report"]
