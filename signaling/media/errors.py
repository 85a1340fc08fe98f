"""What the media plane refuses, and why. Every refusal leaves what was there as it was."""

from __future__ import annotations

from signaling.errors import InvalidRequest, SignalingError, WrongState


class SdpError(InvalidRequest):
    """An offer (RFC 8866, RFC 8829) or an SDP fragment (RFC 8840) that cannot be answered; `detail` says why."""

    code = "bad_sdp"


class RoomFull(WrongState):
    """The room has as many participants or watchers as it may have."""

    code = "room_full"


class VoiceTaken(WrongState):
    """Another officer is speaking in the call."""

    code = "voice_taken"


class RoomClosed(WrongState):
    """The room, or the whole node, is closed."""

    code = "room_closed"


class PreconditionRequired(SignalingError):
    """A PATCH came without `If-Match` (RFC 9725 section 4.3.1)."""

    code = "precondition_required"
    status = 428


class PreconditionFailed(SignalingError):
    """The entity tag is not that of the present ICE session (RFC 9725 section 4.3.1)."""

    code = "precondition_failed"
    status = 412
