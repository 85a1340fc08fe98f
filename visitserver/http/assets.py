"""Static files: a content hash of the whole folder stands in every address, so browsers may keep them for ever.

One hash for all, not one per file: ES modules import each other by relative paths, which must stay inside one version
(docs/decisions/0061).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "/static"

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Assets:
    """The files that may be served, by their relative path. Nothing else in the folder, or outside it, can be."""

    version: str
    files: dict[str, Path]

    def url(self, path: str) -> str:
        """The address of a static file, e.g. `static("css/calm.css")`. KeyError when there is no such file."""
        if path not in self.files:
            raise KeyError(f"no static file {path!r}")
        return f"{PREFIX}/{self.version}/{path}"


def scan_assets(directory: Path) -> Assets:
    """Read and hash every file of a known media type below `directory` (hidden ones are left out)."""
    files: dict[str, Path] = {}
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if path.suffix not in MEDIA_TYPES or not path.is_file() or any(p.startswith(".") for p in relative.parts):
            continue
        files[relative.as_posix()] = path
        content = path.read_bytes()
        digest.update(f"{relative.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return Assets(digest.hexdigest()[:16], files)
