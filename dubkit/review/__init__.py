"""The review pages of a job and of a batch: HTML files made from work folders."""

from dubkit.review.report_page import VIDEOS, Report, make_overview, make_report

__all__ = ["VIDEOS", "Report", "make_overview", "make_report"]
