"""Named refusals."""


class ReportIdReused(Exception):
    """This report_id was used for a report with other content; make a new one for a new report."""
