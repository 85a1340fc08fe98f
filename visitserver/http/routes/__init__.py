"""The route tables of the application. A new file of routes is added to `all_tables`."""

from __future__ import annotations

from visitserver.http.registry import RouteTable
from visitserver.http.routes import (
    admin_staff,
    admin_stations,
    admin_webhooks,
    audit,
    call_control,
    desk_bookings,
    desk_day,
    desk_moves,
    desk_requests,
    desk_slots,
    family,
    family_booking,
    family_call,
    family_identity,
    family_privacy,
    family_signin,
    family_visits,
    officer,
    outbox,
    recordings,
    reports,
    review_door,
    review_identity,
    reviews,
    scheduler,
    session_templates,
    staff_home,
    staff_signin,
    terminal,
    terminal_signin,
    why,
)

_MODULES = (
    family_signin,
    family,
    family_booking,
    family_visits,
    family_call,
    family_identity,
    family_privacy,
    terminal_signin,
    terminal,
    staff_signin,
    staff_home,
    officer,
    call_control,
    reviews,
    review_identity,
    review_door,
    scheduler,
    desk_day,
    desk_slots,
    desk_requests,
    desk_bookings,
    desk_moves,
    session_templates,
    why,
    recordings,
    admin_staff,
    admin_stations,
    admin_webhooks,
    outbox,
    reports,
    audit,
)


def all_tables() -> tuple[RouteTable, ...]:
    """Every table of the application, except the media routes, which the media node brings, and the system's."""
    return tuple(module.routes for module in _MODULES)
