"""The recorder's errors in the application's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recorder.errors import (
    KeyUnavailable,
    NotSealed,
    RecorderError,
    RecordingDamaged,
    RecordingDeleted,
    RecordingHeld,
    RecordingNotFound,
)
from visitserver.domain.errors import Conflict, NotFound, Unavailable


@contextmanager
def archive_errors() -> Iterator[None]:
    """Turn RecorderErrors, OSError and TimeoutError of an archive into DomainErrors with the recorder's code."""
    try:
        yield
    except RecordingNotFound as error:
        raise NotFound("The recording is not in the archive.", code=error.code) from error
    except NotSealed as error:
        raise Conflict("The recording is not sealed yet.", code=error.code) from error
    except RecordingDeleted as error:
        raise Conflict("The recording was deleted.", code=error.code) from error
    except RecordingHeld as error:
        raise Conflict("The recording is under legal hold.", code=error.code) from error
    except RecordingDamaged as error:
        raise Conflict("The recording is damaged: verify it to see where.", code=error.code) from error
    except KeyUnavailable as error:
        raise Unavailable("The recording's key cannot be had.", code=error.code) from error
    except RecorderError as error:
        raise Unavailable("The archive cannot do this now.", code=error.code) from error
    except OSError as error:  # TimeoutError too
        raise Unavailable("The archive cannot be reached now.", code="archive_unavailable") from error
