"""Says whether a recording is what was recorded: valid, or which segment is damaged and how.

This one file needs Python 3.11, its standard library and `cryptography`, nothing else of the recorder; it goes with
every evidence bundle.

    python standalone_verify.py RECORDING_FOLDER --public-key recorder-public.pem [--head HEX] [--data-key HEX]

It reads the format of docs/recording-format.md by itself and shares no code with what writes recordings, so that a
fault of the writer cannot hide in it. Exit status: 0 valid, 1 not valid, 2 wrong use.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_HEADER = struct.Struct("!8sHIQQ8s32sH")
_FOOTER = struct.Struct("!4s32s64s")
_INDEX = struct.Struct("!I")
_SEGMENT_FILE = re.compile(r"([0-9]{6})\.seg((?:\+[0-9]+)?\.open)?")
_WRITER_FILE = re.compile(r"writer-([0-9]{4})\.json")
_HALF_DOCUMENT = re.compile(r"[a-z0-9-]+\.json((?:\+[0-9]+)|(?:\.[0-9]+\.[0-9a-f]{8}))?\.open")
_DOCUMENTS = {"opening.json", "manifest.json", "key.json", "hold.json", "tombstone.json"}
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The verdict. `kind` is empty if valid; `segment` is the number of the first damaged segment, None if it is not
    one segment.

    Kinds: `altered`, `truncated`, `missing`, `reordered`, `duplicated`, `extra`, `foreign` (a segment of another
    recording), `undecryptable`; `manifest_altered`, `manifest_swapped`, `manifest_older`, `opening_altered`,
    `opening_missing`, `key_altered`, `key_missing`, `hold_altered`, `tombstone_altered`, `wrong_key`, `not_sealed`,
    `unexpected_file`, `wrong_head`, `not_a_recording`, `writer_altered`, `writer_missing`. `state` is what the
    recording is: sealed, open, deleted, or unknown. `head` is the last value of the chain, `size` in bytes.
    """

    valid: bool
    segment: int | None
    kind: str
    detail: str
    recording_id: str = ""
    call_id: str = ""
    state: str = "unknown"
    segments: int = 0
    size: int = 0
    head: str = ""


class _Damage(Exception):
    def __init__(self, kind: str, detail: str, segment: int | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.segment = segment


def verify_files(
    names: Iterable[str],
    read: Callable[[str], bytes],
    key: Ed25519PublicKey,
    *,
    recording_id: str | None = None,
    expected_head: str | None = None,
    data_key: bytes | None = None,
    require_key: bool = True,
) -> VerifyReport:
    """Check a recording given as file names and a way to read them.

    `recording_id` and `expected_head` are what an index outside says it must be (they catch a whole recording put in
    another's place, and one cut back to an earlier state by somebody who can sign). With `data_key` every chunk is
    decrypted too. `require_key` is False for a bundle that goes without its wrapped key.
    """
    check = _Check(sorted(names), read, key)
    try:
        check.run(recording_id, expected_head, data_key, require_key)
    except _Damage as damage:
        return check.report(False, damage.segment, damage.kind, damage.detail)
    return check.report(True, None, "", "every byte is as it was recorded" if check.state == "sealed" else check.state)


class _Check:
    def __init__(self, names: list[str], read: Callable[[str], bytes], key: Ed25519PublicKey) -> None:
        self._names = names
        self._read = read
        self._key = key
        self._signer = hashlib.sha256(key.public_bytes_raw()).hexdigest()
        self.state = "unknown"
        self._recording_id = self._call_id = self._head = ""
        self._count = self._size = 0

    def report(self, valid: bool, segment: int | None, kind: str, detail: str) -> VerifyReport:
        return VerifyReport(
            valid,
            segment,
            kind,
            detail,
            self._recording_id,
            self._call_id,
            self.state,
            self._count,
            self._size,
            self._head,
        )

    def run(
        self, recording_id: str | None, expected_head: str | None, data_key: bytes | None, require_key: bool
    ) -> None:
        if "tombstone.json" in self._names:
            self._deleted(recording_id, expected_head)
            return
        if "manifest.json" not in self._names:
            self._without_manifest()
        manifest = self._document("manifest.json", "visit-recording-manifest", "manifest_altered")
        self._take(manifest)
        if recording_id is not None and recording_id != self._recording_id:
            raise _Damage("manifest_swapped", f"the manifest is that of {self._recording_id}")
        if expected_head is not None and expected_head != self._head:
            raise _Damage("wrong_head", "the chain does not end where the index says it ends")
        self._documents(manifest, require_key)
        self._writers(manifest)
        self._files(manifest)
        self._segments(manifest, AESGCM(data_key) if data_key is not None else None)
        self.state = "sealed"

    # --- documents ------------------------------------------------------------------------------------------------

    def _document(self, name: str, kind: str, damage: str) -> dict[str, Any]:
        data = self._read(name)
        try:
            envelope = json.loads(data)
            text = json.dumps(envelope, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            body, signature, signer = envelope["body"], envelope["signature"], envelope["signer"]
            if text.encode() != data or envelope["type"] != kind or not _SIGNATURE.fullmatch(signature):
                raise _Damage(damage, f"{name} is not as it was written")
            if signer != self._signer:
                raise _Damage("wrong_key", f"{name} names another key as its signer")
            payload = (
                kind.encode()
                + b"\0"
                + json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            )
            self._key.verify(bytes.fromhex(signature), payload)
        except InvalidSignature as error:
            raise _Damage(damage, f"the signature of {name} is not good") from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _Damage(damage, f"{name} cannot be read") from error
        if not isinstance(body, dict):
            raise _Damage(damage, f"{name} has no content")
        return body

    def _take(self, manifest: Mapping[str, Any]) -> None:
        """Read the manifest's own statements and check that they agree with each other."""
        try:
            opening = manifest["opening"]
            self._recording_id, self._call_id = str(opening["recording_id"]), str(opening["call_id"])
            chain = hashlib.sha256(
                b"visit-recording-opening\0"
                + json.dumps(opening, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            ).digest()
            agrees = manifest["opening_sha256"] == chain.hex()
            links = _links(manifest)
            for number, segment in enumerate(manifest["segments"], start=1):
                chain = _linked(chain, links.get(number - 1, ()))
                chain = hashlib.sha256(chain + bytes.fromhex(segment["sha256"])).digest()
                agrees = agrees and segment["number"] == number and segment["chain"] == chain.hex()
                self._size += int(segment["bytes"])
            self._count = len(manifest["segments"])
            chain = _linked(chain, links.get(self._count, ()))
            writers = [one["writer"] for one in manifest.get("takeovers", [])]
            afters = [int(one["after"]) for one in manifest.get("takeovers", [])]
            agrees = agrees and writers == list(range(2, len(writers) + 2)) and afters == sorted(afters)
            agrees = agrees and all(0 <= after <= self._count for after in afters)
            self._head = str(manifest["head"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _Damage("manifest_altered", "the manifest does not say what a manifest says") from error
        if not agrees or self._head != chain.hex():
            raise _Damage("manifest_altered", "the manifest's chain does not agree with itself")

    def _documents(self, manifest: Mapping[str, Any], require_key: bool) -> None:
        if "opening.json" not in self._names:
            raise _Damage("opening_missing", "opening.json is not there")
        opening = self._document("opening.json", "visit-recording-opening", "opening_altered")
        if opening != manifest["opening"]:
            raise _Damage("manifest_swapped", "the manifest belongs to another opening")
        if "key.json" in self._names:
            if (
                self._document("key.json", "visit-recording-key", "key_altered").get("recording_id")
                != self._recording_id
            ):
                raise _Damage("key_altered", "key.json belongs to another recording")
        elif require_key:
            raise _Damage("key_missing", "key.json is not there: the recording cannot be decrypted")
        if "hold.json" in self._names:
            hold = self._document("hold.json", "visit-recording-hold", "hold_altered")
            if hold.get("recording_id") != self._recording_id:
                raise _Damage("hold_altered", "hold.json belongs to another recording")

    def _writers(self, manifest: Mapping[str, Any]) -> None:
        """The document of every later writer must be the one that the chain went through."""
        for one in manifest.get("takeovers", []):
            name = f"writer-{one['writer']:04d}.json"
            if name not in self._names:
                raise _Damage("writer_missing", f"{name} is not there")
            body = self._document(name, "visit-recording-writer", "writer_altered")
            text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(b"visit-recording-writer\0" + text.encode()).hexdigest()
            named = (body.get("recording_id"), body.get("call_id"), body.get("writer"))
            if digest != one["sha256"] or named != (self._recording_id, self._call_id, one["writer"]):
                raise _Damage("writer_altered", f"{name} is not the one that wrote here")

    def _deleted(self, recording_id: str | None, expected_head: str | None) -> None:
        tombstone = self._document("tombstone.json", "visit-recording-tombstone", "tombstone_altered")
        self._recording_id = str(tombstone.get("recording_id", ""))
        self._call_id, self._head = str(tombstone.get("call_id", "")), str(tombstone.get("head", ""))
        if recording_id is not None and recording_id != self._recording_id:
            raise _Damage("manifest_swapped", "the tombstone is that of another recording")
        if expected_head is not None and expected_head != self._head:
            raise _Damage("wrong_head", "the tombstone is not that of the recording that the index knows")
        self.state = "deleted"

    def _without_manifest(self) -> None:
        if "opening.json" not in self._names:
            raise _Damage("not_a_recording", "neither a manifest nor an opening is there")
        opening = self._document("opening.json", "visit-recording-opening", "opening_altered")
        self._recording_id, self._call_id = str(opening.get("recording_id", "")), str(opening.get("call_id", ""))
        self.state = "open"
        raise _Damage("not_sealed", "there is no manifest: the recording goes on, was cut off, or lost its seal")

    # --- segments -------------------------------------------------------------------------------------------------

    def _files(self, manifest: Mapping[str, Any]) -> None:
        writers = {f"writer-{one['writer']:04d}.json" for one in manifest.get("takeovers", [])}
        for name in self._names:
            found = _SEGMENT_FILE.fullmatch(name)
            if (found and found[2]) or not (found or name in _DOCUMENTS or name in writers):
                raise _Damage("unexpected_file", f"{name} does not belong to a sealed recording")

    def _segments(self, manifest: Mapping[str, Any], cipher: AESGCM | None) -> None:
        listed = manifest["segments"]
        chain = bytes.fromhex(manifest["opening_sha256"])
        links = _links(manifest)
        on_disk = {int(name[:6]): name for name in self._names if _SEGMENT_FILE.fullmatch(name)}
        for entry in listed:
            number = entry["number"]
            if number not in on_disk:
                raise _Damage("missing", f"segment {number} is not there", number)
            data = self._read(on_disk[number])
            digest = hashlib.sha256(memoryview(data)[: -_FOOTER.size]).digest()
            if digest.hex() != entry["sha256"]:
                raise self._classify(number, data, digest.hex(), listed, on_disk)
            chain = _linked(chain, links.get(number - 1, ()))
            self._segment(number, data, digest, chain, cipher)
            chain = bytes.fromhex(entry["chain"])
        for number in sorted(on_disk):
            if number > len(listed) or number < 1:
                raise self._unlisted(number, self._read(on_disk[number]), listed, chain)

    def _segment(self, number: int, data: bytes, digest: bytes, chain: bytes, cipher: AESGCM | None) -> None:
        """A segment whose digest is the listed one: its header and footer must agree, its chunks decrypt."""
        header = self._header(data)
        if header is None or header[1:] != (number, chain) or header[0] != self._recording_id:
            raise _Damage("foreign", f"segment {number} is not of this recording", number)
        after = hashlib.sha256(chain + digest).digest()
        if not self._footer_is_good(data, number, digest, after):
            raise _Damage("altered", f"the footer of segment {number} is not as it was written", number)
        if cipher is not None and not _decrypts(data, cipher):
            raise _Damage("undecryptable", f"segment {number} does not decrypt with this key", number)

    def _footer_is_good(self, data: bytes, number: int, digest: bytes, after: bytes) -> bool:
        magic, stated, signature = _FOOTER.unpack_from(data, len(data) - _FOOTER.size)
        if magic != b"VRFT" or stated != digest:
            return False
        try:
            self._key.verify(
                signature, b"visit-recording-head\0" + self._recording_id.encode() + b"\0" + _INDEX.pack(number) + after
            )
        except InvalidSignature:
            return False
        return True

    def _classify(
        self, number: int, data: bytes, digest: str, listed: list[dict[str, Any]], on_disk: Mapping[int, str]
    ) -> _Damage:
        """What happened to segment `number`, whose bytes are not the listed ones."""
        positions = {entry["sha256"]: int(entry["number"]) for entry in listed}
        if digest in positions:
            there = [
                hashlib.sha256(self._read(name)[: -_FOOTER.size]).hexdigest() for _, name in sorted(on_disk.items())
            ]
            other = positions[digest]
            if there.count(digest) > 1:
                return _Damage(
                    "duplicated", f"a copy of segment {other} stands in the place of segment {number}", number
                )
            if listed[number - 1]["sha256"] not in there:
                return _Damage("missing", f"segment {number} is gone; segment {other} stands in its place", number)
            return _Damage("reordered", f"segment {other} stands in the place of segment {number}", number)
        size = int(listed[number - 1]["bytes"])
        if len(data) < size:
            return _Damage("truncated", f"segment {number} lacks {size - len(data)} bytes", number)
        header = self._header(data)
        if header is not None and header[0] != self._recording_id and len(data) != size:
            return _Damage("foreign", f"segment {number} is not of this recording", number)
        return _Damage("altered", f"segment {number} is not as it was recorded", number)

    def _unlisted(self, number: int, data: bytes, listed: list[dict[str, Any]], chain: bytes) -> _Damage:
        """A segment that the manifest does not know."""
        digest = hashlib.sha256(memoryview(data)[: -_FOOTER.size]).digest()
        if digest.hex() in {entry["sha256"] for entry in listed}:
            return _Damage("duplicated", f"segment {number} is a copy of an earlier one", number)
        header = self._header(data)
        after = hashlib.sha256(chain + digest).digest()
        if header == (self._recording_id, number, chain) and self._footer_is_good(data, number, digest, after):
            return _Damage("manifest_older", f"the manifest ends before segment {number}, which goes on", number)
        return _Damage("extra", f"segment {number} is not in the manifest", number)

    @staticmethod
    def _header(data: bytes) -> tuple[str, int, bytes] | None:
        """(recording, number, chain before) of a segment; None if it has no header."""
        if len(data) < _HEADER.size + _FOOTER.size:
            return None
        magic, version, number, _, _, _, before, length = _HEADER.unpack_from(data)
        name = data[_HEADER.size : _HEADER.size + length]
        if magic != b"VISITREC" or version != 1 or len(name) != length or not name.isascii():
            return None
        return name.decode("ascii"), number, before


def _decrypts(data: bytes, cipher: AESGCM) -> bool:
    _, _, _, _, _, salt, _, length = _HEADER.unpack_from(data)
    at = _HEADER.size + length
    clear, end, index = data[:at], len(data) - _FOOTER.size, 0
    while at < end:
        if end - at < _INDEX.size:
            return False
        (size,) = _INDEX.unpack_from(data, at)
        start, at = at + _INDEX.size, at + _INDEX.size + size
        position = _INDEX.pack(index)
        try:
            if at > end:
                return False
            cipher.decrypt(salt + position, data[start:at], clear + position)
        except (InvalidTag, ValueError):
            return False
        index += 1
    return True


def is_half_document(name: str) -> bool:
    """Whether a file is a document that was being written: no part of a recording, whatever became of it."""
    return _HALF_DOCUMENT.fullmatch(name) is not None


def _links(manifest: Mapping[str, Any]) -> dict[int, list[bytes]]:
    """What changes of the writer add to the chain, by the number of segments before them."""
    links: dict[int, list[bytes]] = {}
    for one in manifest.get("takeovers", []):
        links.setdefault(int(one["after"]), []).append(bytes.fromhex(one["sha256"]))
    return links


def _linked(chain: bytes, links: Iterable[bytes]) -> bytes:
    for sha256 in links:
        chain = hashlib.sha256(chain + sha256).digest()
    return chain


def verify_folder(
    folder: Path,
    public_key_pem: bytes,
    *,
    recording_id: str | None = None,
    expected_head: str | None = None,
    data_key: bytes | None = None,
    require_key: bool = True,
) -> VerifyReport:
    """Check the recording in `folder`.

    ValueError if the key is not an Ed25519 public key; OSError if the folder cannot be read.
    """
    key = load_pem_public_key(public_key_pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key")
    names = [
        entry.name
        for entry in folder.iterdir()
        # the lock and half-written documents are no part of a recording; half-written segments are looked at
        if entry.name != ".lock" and not is_half_document(entry.name)
    ]
    return verify_files(
        names,
        lambda name: (folder / name).read_bytes(),
        key,
        recording_id=recording_id,
        expected_head=expected_head,
        data_key=data_key,
        require_key=require_key,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(description="Check a recording of a visit.")
    parser.add_argument("folder", type=Path, help="the recording's folder")
    parser.add_argument("--public-key", type=Path, required=True, help="the recorder's Ed25519 public key, PEM")
    parser.add_argument("--recording-id", help="the identifier it must have")
    parser.add_argument("--head", help="the last value of the chain as an index outside knows it, hexadecimal")
    parser.add_argument("--data-key", help="the recording's data key, hexadecimal: decrypt every chunk too")
    parser.add_argument("--without-key", action="store_true", help="the wrapped key is not part of this bundle")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    options = parser.parse_args(arguments)
    try:
        report = verify_folder(
            options.folder,
            options.public_key.read_bytes(),
            recording_id=options.recording_id,
            expected_head=options.head,
            data_key=bytes.fromhex(options.data_key) if options.data_key else None,
            require_key=not options.without_key,
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot verify: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(asdict(report), sort_keys=True) + "\n")
    elif report.valid:
        sys.stdout.write(
            f"VALID ({report.state}): {report.recording_id}, {report.segments} segments, head {report.head}\n"
        )
    else:
        where = f" in segment {report.segment}" if report.segment is not None else ""
        sys.stdout.write(f"NOT VALID: {report.kind}{where}: {report.detail}\n")
    return 0 if report.valid else 1


if __name__ == "__main__":
    sys.exit(main())
