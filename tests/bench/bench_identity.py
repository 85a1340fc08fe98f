"""How well documents are read and faces are told apart, and what it costs.

    python -m tests.bench.bench_identity [--short] [--documents N] [--yunet FILE]

Zones: made pages (tests/media_factory), N (400) of each layout and level. Faces: the sets of VISIT_TESTDATA (or
../shared/testdata), left out where absent. Times are of this process alone, one thread: CPU seconds, so that other work
on the machine does not count, and wall seconds beside them. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.fixtures.requirements import REPOSITORY
from tests.media_factory import (
    LEVELS,
    DocumentFields,
    PortraitMissing,
    camera_frames,
    make_page,
    make_td3_page,
    random_fields,
    zone_lines,
)
from tests.unit.identity.specimens import HASHED, SPECIMENS, as_printed
from visitserver.domain.identity import IdentityPolicy
from visitserver.identity import messages, mrz
from visitserver.identity.worker.compare import liveness
from visitserver.identity.worker.encode import DlibEncoder, Face, look
from visitserver.identity.worker.faces import FaceDetector, make_detector
from visitserver.identity.worker.jobs import Jobs
from visitserver.identity.worker.ocr import Picture, TextReader
from visitserver.identity.worker.zone import Zone, ZoneReader

BARS = {
    "mrz_exact": 0.98,
    "mrz_wrong_but_certain": 0,
    "specimens": 0.80,
    "false_agree": 0,
    "found": {"normal": 0.99, "dark": 0.95, "small": 0.80, "covered": 0.95},
    "flat_photo_passes": 0.01,
    "verification_s": {"p50": 1.5, "p95": 2.5},
}
TODAY = date(2026, 3, 2)
PROMPTS = ("straight", "left", "straight", "right", "straight")


def testdata() -> Path | None:
    """The folder of test material, None where absent."""
    folder = Path(os.environ.get("VISIT_TESTDATA", REPOSITORY.parent / "shared" / "testdata"))
    return folder if folder.is_dir() else None


def pixels(data: bytes) -> Picture:
    """A JPEG as BGR."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def certain(zone: Zone) -> bool:
    """Whether the reading would be shown without any doubt: all check digits right, nothing doubtful."""
    try:
        return not zone.doubtful and mrz.parse(zone.lines, today=TODAY).consistent
    except mrz.MrzError:
        return False


def documents(zones: ZoneReader, each: int) -> dict[str, Any]:
    """Exact and wrong-but-certain readings for each layout and level, 18 to 30 pixels a character."""
    table: dict[str, Any] = {}
    for kind, level in itertools.product(("TD1", "TD2", "TD3"), LEVELS):
        exact = wrong = valid = doubtful = 0
        times = []
        for number in range(each):
            rng = random.Random(f"bench {kind} {level} {number}")
            fields = random_fields(rng)
            page = make_page(kind, None, fields, level=level, pixels_per_char=rng.uniform(18, 30), seed=number)
            picture = pixels(page)
            began = time.process_time()
            zone = zones.read(picture)
            times.append(time.process_time() - began)
            if zone is not None and list(zone.lines) == zone_lines(kind, fields):
                exact += 1
                doubtful += bool(zone.doubtful)
            elif zone is not None:
                wrong += certain(zone)
                valid += _checks_fit(zone)
        table[f"{kind} {level}"] = {
            "pages": each,
            "exact": round(exact / each, 4),
            "wrong_but_certain": wrong,
            "wrong_with_right_check_digits": valid,
            "right_but_in_doubt": doubtful,
            "cpu_p50_s": round(float(np.median(times)), 3),
        }
        print(f"  {kind} {level:<7}", table[f"{kind} {level}"], flush=True)
    return table


def _checks_fit(zone: Zone) -> bool:
    try:
        return mrz.parse(zone.lines, today=TODAY).consistent
    except mrz.MrzError:
        return False


def specimens(zones: ZoneReader, folder: Path) -> dict[str, Any]:
    """Published specimens read as printed."""
    missed = []
    for name in (*SPECIMENS, *HASHED):
        zone = zones.read(np.asarray(cv2.imread(str(folder / "mrz" / name)), np.uint8))
        if zone is None or not as_printed(name, zone.lines):
            missed.append(name)
    total = len(SPECIMENS) + len(HASHED)
    return {"pages": total, "as_printed": round((total - len(missed)) / total, 3), "missed": missed}


def verification(runs: int) -> dict[str, Any]:
    """One whole verification: a document, its face, five frames of a selfie, and the check at the door."""
    jobs = Jobs(threads=1)
    policy = IdentityPolicy()
    fields = DocumentFields("Collins", "Eileen Marie", date(1956, 11, 19))
    page = make_td3_page("astronaut", fields)
    selfies = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in camera_frames("astronaut", seconds=2, rate=3)][:5]
    cpu: dict[str, list[float]] = defaultdict(list)
    wall: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, job: dict[str, Any], blobs: list[bytes]) -> messages.Message:
        at, began = time.perf_counter(), time.process_time()
        result = jobs.run(job, blobs, lambda step, done, total: None)
        cpu[name].append(time.process_time() - began)
        wall[name].append(time.perf_counter() - at)
        return result

    enrolment, door = messages.policy_out(policy.enrolment), messages.policy_out(policy.door)
    for _ in range(runs + 1):
        timed("read", {"op": "read_document", "today": TODAY.isoformat(), "claim": None}, [page])
        _, blobs = timed("compare", {"op": "compare", "policy": enrolment, "prompts": []}, [page, *selfies])
        model = policy.door.encoder
        timed("door", {"op": "verify", "policy": door, "model_version": model, "prompts": []}, [blobs[0], *selfies])
    jobs.close()
    cpu["verification"] = [a + b for a, b in zip(cpu["read"], cpu["compare"], strict=True)]
    wall["verification"] = [a + b for a, b in zip(wall["read"], wall["compare"], strict=True)]
    # The first run warms caches; decoding is another process's and counts in wall time only.
    return {
        name: {
            "cpu_p50_s": round(float(np.percentile(cpu[name][1:], 50)), 3),
            "cpu_p95_s": round(float(np.percentile(cpu[name][1:], 95)), 3),
            "wall_p50_s": round(float(np.percentile(wall[name][1:], 50)), 3),
        }
        for name in cpu
    }


def groups(folder: Path, photos: int) -> dict[str, dict[str, list[Picture]]]:
    """The face sets: group, person, photos."""
    people: dict[str, dict[str, list[Picture]]] = {}
    for group in sorted((folder / "faces").iterdir()):
        for person in sorted(path for path in group.iterdir() if path.is_dir()):
            files = sorted(person.glob("*.jpg"))[:photos]
            people.setdefault(group.name, {})[person.name] = [np.asarray(cv2.imread(str(f)), np.uint8) for f in files]
    return people


def faces(folder: Path, detector: FaceDetector, encoder: DlibEncoder, photos: int) -> dict[str, Any]:
    """False agreements by group, faces found under bad conditions, flat photos that pass the turn."""
    policy = IdentityPolicy()
    report: dict[str, Any] = {}
    for group, people in groups(folder, photos).items():
        vectors = [
            (name, face.vector)
            for name, pictures in people.items()
            for picture in pictures
            if isinstance(face := look(picture, detector, encoder), Face)
        ]
        distances = [(a == b, float(np.linalg.norm(x - y))) for (a, x), (b, y) in itertools.combinations(vectors, 2)]
        different = np.array([distance for same, distance in distances if not same])
        same = np.array([distance for alike, distance in distances if alike])
        pictures = [picture for some in people.values() for picture in some]
        report[group] = {
            "people": len(people),
            "photos": len(vectors),
            "pairs_of_different_people": len(different),
            "false_agree_at_the_door": int((different <= policy.door.agree).sum()),
            "false_agree_at_enrolment": int((different <= policy.enrolment.agree).sum()),
            "nearest_two_people": round(float(different.min()), 3),
            "to_an_officer_at_the_door": round(float((same > policy.door.agree).mean()), 3),
            "found": {name: _found(detector, [change(one) for one in pictures]) for name, change in CHANGES.items()},
            "flat_photo_passes": _flat(pictures[:: max(1, len(pictures) // 30)], detector, encoder),
        }
    return report


def _found(detector: FaceDetector, pictures: list[Picture]) -> float:
    return round(sum(bool(detector.detect(picture).boxes) for picture in pictures) / len(pictures), 3)


def _dark(picture: Picture) -> Picture:
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture.astype(np.float32) * 0.18 + noise, 0, 255).astype(np.uint8)


def _small(picture: Picture) -> Picture:
    shrunk = cv2.resize(picture, None, fx=0.28, fy=0.28, interpolation=cv2.INTER_AREA)
    frame = np.full((240, 320, 3), 110, np.uint8)
    frame[60 : 60 + shrunk.shape[0], 100 : 100 + shrunk.shape[1]] = shrunk[:180, :220]
    return frame


def _covered(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    frame = picture.copy()
    frame[int(height * 0.58) : int(height * 0.85), int(width * 0.2) : int(width * 0.8)] = (150, 140, 120)
    return frame


CHANGES = {"normal": lambda picture: picture, "dark": _dark, "small": _small, "covered": _covered}


def _flat(pictures: list[Picture], detector: FaceDetector, encoder: DlibEncoder) -> float:
    """The part of flat photos that pass as a real turn when they are turned by 40 degrees before the camera."""
    passed = 0
    for picture in pictures:
        looked = [look(_turned(picture, angle), detector, encoder) for prompt in PROMPTS for angle in (_ANGLE[prompt],)]
        passed += liveness(looked, PROMPTS).observed == "turned"
    return round(passed / len(pictures), 3)


_ANGLE = {"straight": 0.0, "left": 40.0, "right": -40.0}


def _turned(picture: Picture, degrees: float) -> Picture:
    """A flat photo turned about its vertical axis, seen from twice its width away."""
    height, width = picture.shape[:2]
    angle, away = np.deg2rad(degrees), 2.0 * width
    corners = np.array(
        [(-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2)]
    )
    seen = []
    for x, y in corners:
        depth = away + x * np.sin(angle)
        seen.append((away * x * np.cos(angle) / depth + width / 2, away * y / depth + height / 2))
    source = np.asarray(corners + np.array([width / 2, height / 2]), np.float32)
    move = cv2.getPerspectiveTransform(source, np.array(seen, np.float32))
    return np.asarray(cv2.warpPerspective(picture, move, (width, height), borderValue=(90, 100, 110)), np.uint8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="a minute instead of an hour")
    parser.add_argument("--documents", type=int, help="pages of each layout and level")
    parser.add_argument("--yunet", help="YuNet's file: measure it instead of the fallback cascade")
    options = parser.parse_args()
    each = options.documents or (4 if options.short else 400)
    folder = testdata()
    zones = ZoneReader(TextReader(threads=1))
    report: dict[str, Any] = {"bars": BARS, "short": options.short, "documents": documents(zones, each)}
    if folder is not None:
        report["specimens"] = specimens(zones, folder)
        print("  specimens", report["specimens"], flush=True)
        detector = make_detector(options.yunet)
        report["detector"] = detector.name
        report["faces"] = faces(folder, detector, DlibEncoder(), 3 if options.short else 10)
        for group, figures in report["faces"].items():
            print(f"  faces {group}", figures, flush=True)
    try:
        report["times"] = verification(4 if options.short else 40)
        print("  times", report["times"], flush=True)
    except PortraitMissing as error:
        print(f"  times not measured: {error}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
