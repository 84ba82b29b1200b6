"""Named refusals."""


class ReportIdReused(Exception):
    """This report_id was used for a report with other content; make a new one for a new report."""


class AmendmentIdReused(Exception):
    """This amendment_id was used for other content; make a new one for a new amendment."""


class ReceiptUnknown(Exception):
    """No case has this receipt; check the words. It never says whether the case exists."""
