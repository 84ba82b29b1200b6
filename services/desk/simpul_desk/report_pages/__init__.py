"""Pages on which a member of an agency files reports as its complaint centre: one at a time, or a table of them."""

from simpul_desk.report_pages.routes import REPORT_LIMITS, ReportPages, add_report_pages

__all__ = ["REPORT_LIMITS", "ReportPages", "add_report_pages"]
