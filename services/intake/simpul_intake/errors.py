"""Reasons for which intake refuses a request."""


class ReportIdReused(Exception):
    """The report_id belongs to a report with different content; generate a new one for a new report."""


class TokenUnknown(Exception):
    """No complaint centre has this bearer token; ask the operator for a new one, or send none."""


class CentreNotOfToken(Exception):
    """The token belongs to a different complaint centre than the report names; leave complaint_centre out."""


class AmendmentIdReused(Exception):
    """The amendment_id belongs to an amendment with different content; generate a new one for a new amendment."""


class ReceiptUnknown(Exception):
    """The case does not exist or has a different receipt, deliberately not distinguished; check the receipt."""


class AgencyUnknown(Exception):
    """No agency of the city has the code; check its spelling."""
