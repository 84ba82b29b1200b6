"""The public pages: two languages, no JavaScript, small enough for a cheap phone."""

from simpul_intake.pages.files import FILES_LIMITS, FILES_PATH
from simpul_intake.pages.follow import FOLLOW_PATH, add_follow_pages
from simpul_intake.pages.form import FORM_LIMITS, FORM_PATH, add_pages

__all__ = ["FILES_LIMITS", "FILES_PATH", "FOLLOW_PATH", "FORM_LIMITS", "FORM_PATH", "add_follow_pages", "add_pages"]
