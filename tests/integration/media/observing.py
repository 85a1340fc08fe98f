"""All that a participant's connection can observe of a call, in a form in which two runs can be compared.

The relay's clock is the test's own and stands still while a step is carried out, so nothing depends on the machine's
speed. What is random by design (SSRCs, first numbers, names, credentials) is replaced by what it stands for; everything
else is kept: order and step of each packet, its kind, its fields, its header extensions, its payload.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pylibsrtp
from aioice import stun

from tests.fakes.media_client import PARTY, VIDEO_PT, MediaClient
from tests.integration.media.layered import RID_ID, extended, with_repair

STEP = 0.02  # seconds of the relay's clock
_SR, _SDES, _PSFB = 200, 202, 206


class SteppedClock:
    """The relay's clock: it moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._later: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """What the loop does by the machine's clock."""
        self._later.append((self.now + delay, callback))

    def step(self) -> None:
        """Go on, and call what is due by then."""
        self.now += STEP
        due = [callback for at, callback in self._later if at <= self.now]
        self._later = [(at, callback) for at, callback in self._later if at > self.now]
        for callback in due:
            callback()


@dataclass
class VideoLayer:
    """One layer of a picture that is sent in several sizes."""

    rid: str
    ssrc: int
    sequence: int

    def packet(self, payload: bytes, timestamp: int, marker: int) -> bytes:
        """The next packet, bare. Each layer's pictures are a little larger than those of the one before."""
        self.sequence = self.sequence + 1 & 0xFFFF
        head = bytes([0x80, marker << 7 | VIDEO_PT]) + self.sequence.to_bytes(2, "big")
        return head + (timestamp & 0xFFFFFFFF).to_bytes(4, "big") + self.ssrc.to_bytes(4, "big") + payload


class Observer(MediaClient):
    """A participant that writes down everything its socket is given, with the step in which it came."""

    def __init__(self, number: int, lines: Sequence[tuple[str, str]] = PARTY, rids: tuple[str, ...] = ()) -> None:
        super().__init__(lines)
        self.rids = rids
        self._layers = [VideoLayer(rid, 3000 + 10 * number + place, 7000 * place) for place, rid in enumerate(rids)]
        # The publisher is the same in every run, to the bit.
        self.ssrc = {"audio": 1000 + number, "video": 2000 + number}
        self.sequence = {"audio": 100 * number, "video": 5000 * number}
        self.step = -1
        self.seen: list[tuple[int, str, bytes]] = []
        self.answer = ""

    def _on_stun(self, data: bytes) -> None:
        self.seen.append((self.step, "stun", data))
        super()._on_stun(data)

    def _on_packet(self, session: pylibsrtp.Session, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            self.seen.append((self.step, "rtcp", session.unprotect_rtcp(data)))
        else:
            self.seen.append((self.step, "rtp", session.unprotect(data)))

    def offer(self, **changes: Any) -> str:
        """With RTX and with layers, if it sends any."""
        offer = super().offer(**changes)
        if not self.rids:
            return offer
        # Line by line of media: what repairs and layers a picture stands in its own m-line.
        first, *media = offer.split("\r\nm=")
        pictures = [number for number, text in enumerate(media) if text.startswith("video")]
        for number in pictures:
            rids = self.rids if number == pictures[0] else ()
            media[number] = with_repair("m=" + media[number] + "\r\n", rids).removeprefix("m=").removesuffix("\r\n")
        return "\r\nm=".join([first, *media]) + ("" if media[-1].endswith("\r\n") else "\r\n")

    @property
    def video_ssrcs(self) -> list[int]:
        """Of each layer."""
        return [layer.ssrc for layer in self._layers] or [self.ssrc["video"]]

    def send_video(self, payload: bytes, timestamp: int, *, marker: int, skip: bool) -> int:
        """Send one packet of every layer, or lose them; how many were sent."""
        if not self._layers:
            self.send_rtp("video", payload, timestamp, marker=marker, skip=skip)
        for layer in self._layers:
            packet = layer.packet(payload, timestamp, marker)
            if not skip:
                self.send_protected(extended(packet, (RID_ID, layer.rid.encode())))
        return 0 if skip else len(self._layers) or 1

    async def barrier(self) -> None:
        """Everything that the relay has sent so far has come: the answer to a check goes the same way behind it."""
        await self.check(nominate=True, timeout=60)

    def observed(self) -> list[str]:
        """The observation, line by line."""
        own = {**self.ssrc, **{f"video-{layer.rid}": layer.ssrc for layer in self._layers}}
        names = _Names(own, [data for _, kind, data in self.seen if kind == "rtp"])
        lines = [f"answer {line}" for line in names.description(self.answer)]
        lines += [f"{step} {kind} {getattr(names, kind)(data)}" for step, kind, data in self.seen]
        return [*lines, f"dtls {self.pipe.datagrams.qsize()} records after the handshake"]


class _Names:
    """Gives what is random the name of what it is, in the order in which it appears."""

    def __init__(self, own: dict[str, int], packets: Sequence[bytes]) -> None:
        self._ssrcs: dict[int, str] = {ssrc: f"own-{kind}" for kind, ssrc in own.items()}
        # The numbers of each stream's first packet: a report may overtake it.
        self._first: dict[int, tuple[int, int]] = {}
        for packet in packets:
            _, _, sequence, timestamp, ssrc = struct.unpack_from("!BBHLL", packet)
            self._first.setdefault(ssrc, (sequence, timestamp))
        self._texts: dict[str, str] = {}

    def ssrc(self, value: int) -> str:
        return self._ssrcs.setdefault(value, f"ssrc-{len(self._ssrcs)}")

    def description(self, sdp: str) -> list[str]:
        """The answer's lines without credentials, fingerprint, port and numbers that are drawn."""
        found = []
        for line in sdp.splitlines():
            line = re.sub(r"^(a=ice-ufrag:|a=ice-pwd:|a=fingerprint:sha-256 |o=- )(\S+)", r"\1*", line)
            line = re.sub(r"^(a=candidate:.* )(\d+)( typ .*)$", r"\1*\3", line)
            for pattern in (r"^a=ssrc:(\d+)", r"^a=ssrc-group:FID (\d+) (\d+)"):
                if match := re.match(pattern, line):
                    for digits in match.groups():
                        line = line.replace(digits, self.ssrc(int(digits)))
            line = re.sub(r"cname:(\S+)", lambda match: f"cname:{self._text(match[1])}", line)
            found.append(line)
        return found

    def _text(self, text: str) -> str:
        return self._texts.setdefault(text, f"text-{len(self._texts)}")

    def stun(self, data: bytes) -> str:
        message = stun.parse_message(data)
        return f"{message.message_class.name} {message.message_method.name} {sorted(message.attributes)}"

    def rtp(self, packet: bytes) -> str:
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHLL", packet)
        sequence_0, timestamp_0 = self._first[ssrc]
        rest = packet[12 + 4 * (first & 0x0F) :]
        extensions = ""
        if first & 0x10:
            profile, words = struct.unpack_from("!HH", rest)
            extensions, rest = f"{profile:x} {rest[4 : 4 + 4 * words].hex()}", rest[4 + 4 * words :]
        return (
            f"{self.ssrc(ssrc)} flags {first:02x} {second:02x} sequence +{(sequence - sequence_0) & 0xFFFF} "
            f"timestamp +{(timestamp - timestamp_0) & 0xFFFFFFFF} [{extensions}] "
            f"{len(rest)} bytes {hashlib.sha256(rest).hexdigest()[:12]}"
        )

    def rtcp(self, compound: bytes) -> str:
        parts = []
        while compound:
            head, packet_type, words = struct.unpack_from("!BBH", compound)
            body, compound = compound[4 : 4 + 4 * words], compound[4 + 4 * words :]
            parts.append(f"{packet_type}/{head & 0x1F}: {self._part(packet_type, head & 0x1F, body)}")
        return " | ".join(parts)

    def _part(self, packet_type: int, count: int, body: bytes) -> str:
        if packet_type == _SDES:
            (ssrc,) = struct.unpack_from("!L", body)
            return f"{self.ssrc(ssrc)} item {body[4]} {self._text(body[6 : 6 + body[5]].decode())}"
        words: list[Any] = list(struct.unpack(f"!{len(body) // 4}L", body))
        sender = words[0]
        if packet_type == _SR:
            _, timestamp_0 = self._first.get(sender, (0, 0))
            words[3] = f"timestamp +{(words[3] - timestamp_0) & 0xFFFFFFFF}"
        if not (packet_type == _PSFB and count == 15):  # REMB names no stream that was not named before
            self.ssrc(sender)
        words[0] = self.ssrc(sender)
        return " ".join(self._ssrcs.get(word, f"{word:08x}") if isinstance(word, int) else word for word in words)
