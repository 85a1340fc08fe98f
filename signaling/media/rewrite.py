"""The stable step of forwarding: a source's packet with the numbers of the slot that it goes out in.

Everything that decides (start, catching up, switch, pause) is the forwarder's and sets the offsets here; between two
decisions they are constant, and a packet is rewritten by them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from signaling.media.leg import Kind
from signaling.media.rtp import EXTENSION, HEADER, ONE_BYTE_PROFILE, VERSION, ExtensionIds, RtpView
from signaling.media.step import NEVER, Step, Template
from signaling.media.vp8 import NO_NUMBERS, PICTURE_IDS, TL0_INDICES, PictureNumbers, picture_numbers, shift_numbers

_EXTENDED = VERSION | EXTENSION
_32_BITS = 0xFFFFFFFF
_PADDING = 16  # packets of padding in a row


@dataclass(frozen=True, slots=True)
class Offsets:
    """What is added to a packet's numbers: its index gives the position (whose low 16 bits are the sequence number)."""

    index: int
    timestamp: int
    picture: int = 0
    tl0: int = 0


class Rewriter(Step):
    """One outgoing stream's numbers.

    Constant for a slot's life: `ssrc`, `payload_type`, the header extensions. Set by `start` and constant until the
    next: `first_index` (index of the first packet since the start), `index_offset`, `timestamp_offset`,
    `picture_offset` (0 to 32,767) and `tl0_offset` (0 to 255); the last two are 0 unless a VP8 stream was begun anew.
    `stable_from` is the least index that `packet` may be called for without asking anybody: NEVER while there is no
    stable state. Changed by each packet that was sent: `newest_index` and `newest`, the packet that has it.

    For a packet with index i at or above `stable_from`:
    sequence number = (i + index_offset) mod 2^16; timestamp = (its own + timestamp_offset) mod 2^32; picture ID and
    TL0PICIDX by `vp8.shift_numbers` (only if an offset is not 0); SSRC and payload type are the slot's; marker and
    padding pass; extensions are abs-send-time (`view.departure`), the audio level where the packet has one, and mid,
    each only if it was negotiated.
    """

    __slots__ = ("_block", "_is_video", "last_arrival", "last_numbers", "last_timestamp", "next_position")

    def __init__(
        self,
        *,
        kind: Kind,
        mid: str,
        ssrc: int,
        payload_type: int,
        extensions: ExtensionIds,
        first_sequence: int,
        first_timestamp: int,
    ) -> None:
        """The two first numbers should be random (RFC 3550 section 5.1)."""
        super().__init__()
        self.ssrc = ssrc
        self.payload_type = payload_type
        # Where the stream stands, as of the last `settle`.
        self.next_position = first_sequence
        self.last_timestamp = first_timestamp
        self.last_arrival = float("-inf")
        self.last_numbers = NO_NUMBERS
        self._is_video = kind is Kind.VIDEO
        self._block = _template(extensions, mid, level=False)
        with_level = kind is Kind.AUDIO and extensions.audio_level
        self.shape(self._block, _template(extensions, mid, level=True) if with_level else None)

    def once(self, view: RtpView, offsets: Offsets) -> bytes:
        """The packet as it would have gone out by other offsets than the present ones."""
        present = self.offsets
        self._set(offsets)
        packet = self.packet(view)
        self._set(present)
        return packet

    def _set(self, offsets: Offsets) -> None:
        self.index_offset, self.timestamp_offset = offsets.index, offsets.timestamp
        self.picture_offset, self.tl0_offset = offsets.picture, offsets.tl0

    def retransmission(
        self, view: RtpView, offsets: Offsets, *, ssrc: int, payload_type: int, sequence: int, departure: bytes
    ) -> bytes:
        """The packet once more, as RTX (RFC 4588 section 4) with that stream's `ssrc`, `payload_type` and `sequence`.

        `offsets` are those that the packet went out by, `departure` the present abs-send-time. Padding is left out.
        """
        payload = view.payload
        if view.padding:
            payload = payload[: len(payload) - payload[-1]]
        payload = shift_numbers(payload, offsets.picture, offsets.tl0)
        timestamp = view.timestamp + offsets.timestamp & _32_BITS
        second = view.marker | payload_type
        original = (view.index + offsets.index & 0xFFFF).to_bytes(2, "big")
        block, time_at, _ = self._block
        if time_at >= 0:
            block = block[:time_at] + departure + block[time_at + 3 :]
        head = HEADER.pack(_EXTENDED if block else VERSION, second, sequence, timestamp, ssrc)
        return head + block + original + payload

    # What decisions need

    @property
    def offsets(self) -> Offsets:
        """The offsets at this moment."""
        return Offsets(self.index_offset, self.timestamp_offset, self.picture_offset, self.tl0_offset)

    @property
    def position(self) -> int:
        """The position that follows the newest packet sent: a sequence number that does not wrap."""
        if self.newest_index < 0:
            return self.next_position
        return self.newest_index + self.index_offset + 1

    def settle(self, find: Callable[[int], RtpView | None] | None = None) -> None:
        """End the stable state, and take down where the stream stands. `find` gives a packet by its index, if kept."""
        self.stable_from = NEVER
        view = self.newest
        if view is None:
            return
        self.next_position = self.newest_index + self.index_offset + 1
        self.last_timestamp = view.timestamp + self.timestamp_offset & _32_BITS
        self.last_arrival = view.arrival
        if self._is_video:
            numbers = self._newest_numbers(view, find)
            if numbers is not NO_NUMBERS:
                self.last_numbers = _shifted(numbers, self.picture_offset, self.tl0_offset)
        self.newest = None
        self.newest_index = -1

    def _newest_numbers(self, view: RtpView, find: Callable[[int], RtpView | None] | None) -> PictureNumbers:
        """Those of the newest packet that has any: padding that a browser probes with has none."""
        numbers = picture_numbers(view.payload)
        index = view.index
        while numbers is NO_NUMBERS and find is not None and index > view.index - _PADDING:
            index -= 1
            if index < self.first_index:
                break
            before = find(index)
            if before is not None:
                numbers = picture_numbers(before.payload)
        return numbers

    def start(self, view: RtpView, timestamp: int, *, same_source: bool = False) -> None:
        """Set the offsets so that `view` follows the last packet sent, at `timestamp`. Only after `settle`.

        `same_source`: the last packet was of the same stream. Picture numbers that lie ahead then stay as they are.
        """
        self.first_index = view.index
        self.index_offset = self.next_position - view.index
        self.timestamp_offset = timestamp - view.timestamp
        if self._is_video and self.last_numbers is not NO_NUMBERS:
            last, new = self.last_numbers, picture_numbers(view.payload)
            ahead = (new.picture + self.picture_offset - last.picture) % (1 << new.width)
            if same_source and 0 < ahead < (1 << new.width) // 2:
                return
            self.picture_offset = (last.picture + 1 - new.picture) % PICTURE_IDS if last.width and new.width else 0
            self.tl0_offset = (last.tl0 + 1 - new.tl0) % TL0_INDICES if last.tl0 >= 0 and new.tl0 >= 0 else 0


def _shifted(numbers: PictureNumbers, picture_offset: int, tl0_offset: int) -> PictureNumbers:
    picture = numbers.picture + picture_offset & ((1 << numbers.width) - 1)
    tl0 = (numbers.tl0 + tl0_offset) % TL0_INDICES if numbers.tl0 >= 0 else -1
    return PictureNumbers(picture, numbers.width, tl0)


def _template(extensions: ExtensionIds, mid: str, *, level: bool) -> Template:
    """The header extension block of every packet (RFC 8285 section 4.2), and where its values stand."""
    block, time_at, level_at = b"", -1, -1
    if extensions.abs_send_time:
        block, time_at = bytes([extensions.abs_send_time << 4 | 2]) + bytes(3), 5
    if level:
        level_at = 4 + len(block) + 1
        block += bytes([extensions.audio_level << 4]) + bytes(1)
    if extensions.mid:
        name = mid.encode()
        block += bytes([extensions.mid << 4 | len(name) - 1]) + name
    if not block:
        return b"", -1, -1
    words = (len(block) + 3) // 4
    profile = ONE_BYTE_PROFILE.to_bytes(2, "big") + words.to_bytes(2, "big")
    return profile + block + bytes(words * 4 - len(block)), time_at, level_at
