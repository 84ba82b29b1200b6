"""Whether somebody still has to know: by the progress of services, and by deadlines that were met."""


def is_needed(row: str) -> str:
    """Returns the condition that a service of an escalation `e`, or of an alert, is not as far as it waits for.

    A deadline that was met settles the events before that; an alert has those of its escalations.
    """
    happened = f"coalesce({row}.event_at, {row}.opened_at)"
    if row != "e":
        happened = f"""(SELECT coalesce(min(coalesce(c.event_at, c.opened_at)), {row}.created_at)
            FROM escalation c WHERE c.cause = {row}.cause)"""  # noqa: S608 - constants
    return f"""EXISTS (
        SELECT FROM unnest({row}.services) AS s (service_id) LEFT JOIN referral_service r USING (service_id)
        WHERE coalesce(r.progress, 0) < {row}.needed_until AND NOT EXISTS (SELECT FROM met_deadline m
            WHERE m.service_id = s.service_id AND m.clock = {row}.clock AND m.met_at >= {happened}))"""  # noqa: S608
