"""Named refusals."""


class ReportIdReused(Exception):
    """This report_id was used for a report with other content; make a new one for a new report."""


class TokenUnknown(Exception):
    """The bearer token was issued to no complaint centre; ask the operator for a new one, or send none."""


class CentreNotOfToken(Exception):
    """The token was issued to another complaint centre than the report names; leave the centre out or name its own."""


class AmendmentIdReused(Exception):
    """This amendment_id was used for other content; make a new one for a new amendment."""


class ReceiptUnknown(Exception):
    """No case has this receipt; check the words. It never says whether the case exists."""
