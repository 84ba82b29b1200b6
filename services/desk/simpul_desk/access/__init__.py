"""Who may use the desk, and for what.

A route takes `user: CurrentUser`, or `user: Annotated[User, Depends(require(Role.COORDINATOR))]`. Both lead strangers
to the login, refuse forms of other sites, and set `request.state.user`. Every form has `{{ csrf_field() }}`.
"""

from simpul_desk.access.user import AGENCY_ROLES, CITY_ROLES, SEE_CASES, Actor, Role, RoleNotHeld, User
from simpul_desk.access.web import (
    CurrentUser,
    FormExpired,
    NotSignedIn,
    Requirement,
    current_user,
    guest_form,
    recheck_access,
    require,
)

__all__ = [
    "AGENCY_ROLES",
    "CITY_ROLES",
    "SEE_CASES",
    "Actor",
    "CurrentUser",
    "FormExpired",
    "NotSignedIn",
    "Requirement",
    "Role",
    "RoleNotHeld",
    "User",
    "current_user",
    "guest_form",
    "recheck_access",
    "require",
]
