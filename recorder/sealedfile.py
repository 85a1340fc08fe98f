"""A seekable file that is encrypted on disk: what is derived from a recording is as safe as the recording, and dies
with its key.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recorder.errors import RecordingDamaged

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 1 << 16
_NONCE, _TAG = 12, 16
_SLOT = _NONCE + BLOCK + _TAG


def derived_key(data_key: bytes, recording_id: str) -> bytes:
    """The key of a recording's derived files (HKDF, RFC 5869): whoever destroys the data key destroys it too."""
    return HKDF(SHA256(), 32, None, b"visit-recording-derived\0" + recording_id.encode()).derive(data_key)


class SealedFile(io.RawIOBase):
    """Blocks of 64 KiB, each AES-256-GCM with a fresh random nonce at every write; the block's number and `context`
    are bound to it.

    Reading raises RecordingDamaged where a block was altered. Not thread-safe.
    """

    def __init__(self, path: Path, key: bytes, context: str, *, writing: bool) -> None:
        super().__init__()
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC if writing else os.O_RDONLY
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._cipher = AESGCM(key)
        self._context = context.encode()
        self._writing = writing
        stored = os.fstat(self._descriptor).st_size
        whole, rest = divmod(stored, _SLOT)
        self._size = whole * BLOCK + max(0, rest - _NONCE - _TAG)
        self._position = 0
        self._block = -1
        self._buffer = bytearray()
        self._dirty = False

    @property
    def size(self) -> int:
        """Bytes of plaintext."""
        return self._size

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self._writing

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the file's beginning")
        self._position = base + offset
        return self._position

    def readinto(self, target: Buffer) -> int:
        view = memoryview(target).cast("B")
        done = 0
        while done < len(view) and self._position < self._size:
            self._load(self._position // BLOCK)
            part = self._buffer[self._position % BLOCK :][: len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return done

    def write(self, data: Buffer) -> int:
        if not self._writing:
            raise io.UnsupportedOperation("not open for writing")
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            self._load(self._position // BLOCK)
            start = self._position % BLOCK
            part = view[done : done + BLOCK - start]
            if start > len(self._buffer):
                self._buffer.extend(bytes(start - len(self._buffer)))
            self._buffer[start : start + len(part)] = part
            self._dirty = True
            done += len(part)
            self._position += len(part)
            self._size = max(self._size, self._position)
        return done

    def close(self) -> None:
        if not self.closed:
            try:
                self._store()
            finally:
                os.close(self._descriptor)
                super().close()

    def _load(self, block: int) -> None:
        if block == self._block:
            return
        self._store()
        slot = os.pread(self._descriptor, _SLOT, block * _SLOT)
        self._block, self._buffer = block, bytearray()
        if slot:
            try:
                self._buffer += self._cipher.decrypt(slot[:_NONCE], slot[_NONCE:], self._bound(block))
            except (InvalidTag, ValueError) as error:
                raise RecordingDamaged("a derived file was altered") from error

    def _store(self) -> None:
        if self._dirty:
            nonce = os.urandom(_NONCE)
            slot = nonce + self._cipher.encrypt(nonce, bytes(self._buffer), self._bound(self._block))
            view, at = memoryview(slot), self._block * _SLOT
            while view:
                written = os.pwrite(self._descriptor, view, at)
                view, at = view[written:], at + written
            self._dirty = False

    def _bound(self, block: int) -> bytes:
        return self._context + block.to_bytes(8, "big")
