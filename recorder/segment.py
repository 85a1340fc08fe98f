"""A segment: about two seconds of the log, encrypted in chunks, chained to the segment before, its head signed.

    header   magic "VISITREC", version u16, number u32, opened wall u64 ns, opened monotonic u64 ns, salt 8,
             chain before 32, length u16 and text of the recording's identifier
    chunk*   length u32, AES-256-GCM ciphertext and tag; nonce = salt + index u32; associated data = header + index u32
    footer   "VRFT", SHA-256 of all before it (32), Ed25519 signature over the head (64)

Big-endian. `chain after = SHA-256(chain before + SHA-256 of the segment's bytes up to the footer)`; the chain begins
with the SHA-256 of the opening document. Chunks are written as they fill (several a second), so that a killed process
loses less than the open segment. The salt is random per segment, and the data key belongs to one recording, so no
nonce comes twice under a key.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.blobs import Appender
from recorder.errors import RecordingDamaged

MAGIC = b"VISITREC"
VERSION = 1
HEADER = struct.Struct("!8sHIQQ8s32sH")
FOOTER = struct.Struct("!4s32s64s")
FOOTER_MAGIC = b"VRFT"
INDEX = struct.Struct("!I")
SALT_BYTES = 8
TAG_BYTES = 16
MAX_CHUNK = 64 << 20
HEAD_DOMAIN = b"visit-recording-head\0"
SUFFIX = ".seg"


def segment_name(recording_id: str, number: int) -> str:
    """The name under which segment `number` (from 1) of a recording is stored."""
    return f"{recording_id}/{number:06d}{SUFFIX}"


def segment_number(name: str) -> int | None:
    """The number in a segment's name, unfinished ones' included; None if the name is not a segment's."""
    stem = name.rpartition("/")[2].partition("+")[0]
    if len(stem) == 6 + len(SUFFIX) and stem.endswith(SUFFIX) and stem[:6].isascii() and stem[:6].isdigit():
        return int(stem[:6])
    return None


def chain_after(before: bytes, body_sha256: bytes) -> bytes:
    """The chain's value after a segment."""
    return hashlib.sha256(before + body_sha256).digest()


def head_bytes(recording_id: str, number: int, chain: bytes) -> bytes:
    """What the signature in a segment's footer covers."""
    return HEAD_DOMAIN + recording_id.encode("ascii") + b"\0" + INDEX.pack(number) + chain


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A closed segment as the manifest lists it. `size` in bytes of the whole object; times in ns, monotonic."""

    number: int
    size: int
    sha256: str
    chain: str
    first_ns: int
    last_ns: int
    records: int

    def to_json(self) -> dict[str, int | str]:
        """As it stands in the manifest."""
        return {
            "bytes": self.size,
            "chain": self.chain,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "number": self.number,
            "records": self.records,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What stands at a segment's beginning, in clear. `size` is its own length in bytes."""

    recording_id: str
    number: int
    wall_ns: int
    mono_ns: int
    salt: bytes
    before: bytes
    size: int


class SegmentWriter:
    """Writes one segment to `appender`. Not thread-safe; OSError where the store fails."""

    def __init__(
        self,
        appender: Appender,
        cipher: AESGCM,
        recording_id: str,
        number: int,
        before: bytes,
        *,
        wall_ns: int,
        mono_ns: int,
    ) -> None:
        name = recording_id.encode("ascii")
        self._salt = os.urandom(SALT_BYTES)
        self._header = HEADER.pack(MAGIC, VERSION, number, wall_ns, mono_ns, self._salt, before, len(name)) + name
        self._appender = appender
        self._cipher = cipher
        self._recording_id = recording_id
        self._before = before
        self._digest = hashlib.sha256(self._header)
        self._index = 0
        self._size = len(self._header)
        self.number = number
        self.opened_ns = mono_ns
        appender.write(self._header)

    def write_chunk(self, plain: bytes) -> None:
        """Encrypt whole records and append them. ValueError if they are more than a chunk may hold (64 MiB)."""
        if len(plain) > MAX_CHUNK - TAG_BYTES:
            raise ValueError("too much for one chunk")
        index = INDEX.pack(self._index)
        sealed = self._cipher.encrypt(self._salt + index, plain, self._header + index)
        data = INDEX.pack(len(sealed)) + sealed
        self._appender.write(data)
        self._digest.update(data)
        self._index += 1
        self._size += len(data)

    def close(self, key: Ed25519PrivateKey, *, first_ns: int, last_ns: int, records: int) -> SegmentEntry:
        """Sign the head, make the segment durable, give its entry."""
        digest = self._digest.digest()
        chain = chain_after(self._before, digest)
        self._appender.write(footer(self._recording_id, self.number, digest, chain, key))
        self._appender.commit()
        return SegmentEntry(
            self.number, self._size + FOOTER.size, digest.hex(), chain.hex(), first_ns, last_ns, records
        )

    def abandon(self) -> None:
        """Stop writing; what was written stays unfinished in the store."""
        self._appender.abandon()


def footer(recording_id: str, number: int, digest: bytes, chain: bytes, key: Ed25519PrivateKey) -> bytes:
    """The footer of a segment whose bytes so far have this SHA-256 and lead to this chain value."""
    return FOOTER.pack(FOOTER_MAGIC, digest, key.sign(head_bytes(recording_id, number, chain)))


def read_header(data: bytes) -> SegmentHeader:
    """The header of a segment. RecordingDamaged if there is none."""
    if len(data) < HEADER.size:
        raise RecordingDamaged("a segment without a header")
    magic, version, number, wall_ns, mono_ns, salt, before, length = HEADER.unpack_from(data)
    name = data[HEADER.size : HEADER.size + length]
    if magic != MAGIC or version != VERSION or len(name) != length or not name.isascii():
        raise RecordingDamaged("not a segment of this format")
    return SegmentHeader(name.decode("ascii"), number, wall_ns, mono_ns, salt, before, HEADER.size + length)


def read_closed(data: bytes, cipher: AESGCM) -> list[bytes]:
    """The plaintext chunks of a closed segment. RecordingDamaged if any byte is not as it was written."""
    chunks, end = read_chunks(data, cipher, len(data) - FOOTER.size)
    if end != len(data) - FOOTER.size:
        raise RecordingDamaged("a segment's chunk was altered")
    return chunks


def read_chunks(data: bytes, cipher: AESGCM, limit: int) -> tuple[list[bytes], int]:
    """The plaintext chunks among the first `limit` bytes, as far as they are whole and authentic, and their end."""
    header = read_header(data)
    clear = data[: header.size]
    view = memoryview(data)
    chunks: list[bytes] = []
    at = header.size
    while at + INDEX.size <= limit:
        (length,) = INDEX.unpack_from(data, at)
        start, end = at + INDEX.size, at + INDEX.size + length
        if length < TAG_BYTES or end > limit:
            break
        index = INDEX.pack(len(chunks))
        try:
            chunks.append(cipher.decrypt(header.salt + index, view[start:end], clear + index))
        except InvalidTag:
            break
        at = end
    return chunks, at


def check_footer(data: bytes, header: SegmentHeader, key: Ed25519PublicKey) -> tuple[str, str]:
    """(SHA-256, chain after) of a closed segment, hexadecimal.

    RecordingDamaged unless digest and signature are good.
    """
    if len(data) < header.size + FOOTER.size:
        raise RecordingDamaged("a segment without a footer")
    magic, stated, signature = FOOTER.unpack_from(data, len(data) - FOOTER.size)
    digest = hashlib.sha256(memoryview(data)[: -FOOTER.size]).digest()
    chain = chain_after(header.before, digest)
    if magic != FOOTER_MAGIC or stated != digest:
        raise RecordingDamaged("a segment's bytes are not those that its footer states")
    try:
        key.verify(signature, head_bytes(header.recording_id, header.number, chain))
    except InvalidSignature as error:
        raise RecordingDamaged("a segment's head is not signed with this key") from error
    return digest.hex(), chain.hex()
