"""Tampering is found, always, and named; what is whole never alarms.

With both verifiers: in the house and the one that stands alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import recorder.standalone_verify
from recorder.access import read_data_key, read_manifest
from recorder.documents import MANIFEST, read_document, sign_document
from recorder.verify import verify, verify_path
from signaling.media.leg import Kind
from tests.unit.recorder.support import START, Laboratory, Sent, ordinary_call, rtp, sender_report, track

TRIALS = int(os.environ.get("VISIT_TAMPER_TRIALS", "120"))  # 1,000 at night
SEGMENTS = 6


def fake_call(lab: Laboratory, seed: int, seconds: float = 11.5) -> str:
    """A sealed recording of random packets: its bytes are what counts here."""
    chance = random.Random(seed)
    call_id = ordinary_call()
    video, audio = track(Kind.VIDEO, call_id), track(Kind.AUDIO, call_id, ssrc=2)
    sent = [
        Sent(
            START + number / 50,
            number,
            audio,
            rtp(number, number * 960, chance.randbytes(chance.randint(3, 80)), ssrc=2),
        )
        for number in range(int(seconds * 50))
    ]
    sent += [
        Sent(START + number / 30, number, video, rtp(number, number * 3000, chance.randbytes(chance.randint(50, 900))))
        for number in range(int(seconds * 30))
    ]
    sent += [Sent(START + 1.0, 0, audio, sender_report(2, 4e9, 48000), True)]
    recording_id, summary = lab.write(sent, call_id=call_id)
    assert summary is not None
    return recording_id


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Laboratory, str, str]:
    """A laboratory with two sealed recordings."""
    lab = Laboratory(tmp_path_factory.mktemp("evidence"))
    return lab, fake_call(lab, 1), fake_call(lab, 2)


def segments_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.seg"))


Expected = tuple[int | None, set[str]]


def flip(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """One bit of any segment, header and footer included."""
    path = chance.choice(segments_of(folder))
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return int(path.stem), {"altered", "foreign"}


def drop(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """One segment is gone; half of the time those after it move up to hide it."""
    files = segments_of(folder)
    gone = chance.randrange(len(files))
    files[gone].unlink()
    if chance.random() < 0.5:
        for path in files[gone + 1 :]:
            path.rename(path.with_name(f"{int(path.stem) - 1:06d}.seg"))
    return gone + 1, {"missing"}


def reorder(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """Two segments change places."""
    first, second = sorted(chance.sample(segments_of(folder), 2))
    aside = folder / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    return int(first.stem), {"reordered"}


def duplicate(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """A segment twice: in another's place, at the end, or pushed in so that the rest moves down."""
    files = segments_of(folder)
    source = chance.randrange(len(files))
    way = chance.randrange(3)
    if way == 0:
        target = chance.choice([number for number in range(len(files)) if number != source])
        shutil.copyfile(files[source], files[target])
        return target + 1, {"duplicated"}
    if way == 1:
        shutil.copyfile(files[source], folder / f"{len(files) + 1:06d}.seg")
        return len(files) + 1, {"duplicated"}
    for path in reversed(files[source + 1 :]):
        path.rename(path.with_name(f"{int(path.stem) + 1:06d}.seg"))
    shutil.copyfile(files[source], folder / f"{source + 2:06d}.seg")
    return source + 2, {"duplicated"}


def truncate(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """A segment ends early, or bytes in its middle are cut out."""
    path = chance.choice(segments_of(folder))
    data = path.read_bytes()
    cut = chance.randrange(1, len(data))
    at = len(data) - cut if chance.random() < 0.5 else chance.randrange(len(data) - cut + 1)
    path.write_bytes(data[:at] + data[at + cut :])
    return int(path.stem), {"truncated"}


def foreign(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """A segment of another recording of the same recorder."""
    path = chance.choice(segments_of(folder))
    shutil.copyfile(other / path.name, path)
    return int(path.stem), {"foreign", "truncated", "altered"}


def swap_manifest(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """Another recording's manifest, alone or with its opening."""
    shutil.copyfile(other / "manifest.json", folder / "manifest.json")
    if chance.random() < 0.5:
        return None, {"manifest_swapped"}
    for name in ("opening.json", "key.json"):
        shutil.copyfile(other / name, folder / name)
    return 1, {"altered", "truncated", "foreign"}


def older_manifest(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """The manifest as it would have been signed some segments earlier, by the right key."""
    body = read_document((folder / "manifest.json").read_bytes(), MANIFEST, lab.signing_key.public_key())
    keep = chance.randrange(1, len(body["segments"]))
    body["segments"] = body["segments"][:keep]
    body["head"] = body["segments"][-1]["chain"]
    (folder / "manifest.json").write_bytes(sign_document(MANIFEST, body, lab.signing_key))
    return keep + 1, {"manifest_older"}


def unseal(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """No manifest: as if the recording had never been sealed."""
    (folder / "manifest.json").unlink()
    return None, {"not_sealed"}


def flip_document(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """One bit of a document."""
    name = chance.choice(["manifest", "opening", "key"])
    path = folder / f"{name}.json"
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return None, {f"{name}_altered", "wrong_key"}


def add_file(folder: Path, chance: random.Random, other: Path, lab: Laboratory) -> Expected:
    """Something that does not belong there."""
    number = len(segments_of(folder)) + 1
    way = chance.randrange(3)
    if way == 0:
        (folder / f"{number:06d}.seg").write_bytes(chance.randbytes(500))
        return number, {"extra"}
    (folder / ("notes.txt" if way == 1 else f"{number:06d}.seg.open")).write_bytes(b"x")
    return None, {"unexpected_file"}


TAMPERINGS: list[Callable[[Path, random.Random, Path, Laboratory], Expected]] = [
    flip, drop, reorder, duplicate, truncate, foreign, swap_manifest, older_manifest, unseal, flip_document, add_file,
]  # fmt: skip


def test_every_tampering_is_found_and_named(bench: tuple[Laboratory, str, str], tmp_path: Path) -> None:
    lab, recording_id, other_id = bench
    assert len(segments_of(lab.root / recording_id)) == SEGMENTS
    for seed in range(TRIALS):
        chance = random.Random(seed)
        tamper = TAMPERINGS[seed % len(TAMPERINGS)]
        folder = tmp_path / str(seed)
        shutil.copytree(lab.root / recording_id, folder)
        clean = verify_path(folder, lab.public_pem)
        assert clean.valid, f"a false alarm on seed {seed}: {clean}"
        segment, kinds = tamper(folder, chance, lab.root / other_id, lab)
        report = verify_path(folder, lab.public_pem)
        story = f"{tamper.__name__}, seed {seed}: {report}"
        assert not report.valid, story
        assert report.kind in kinds, story
        assert report.segment == segment, story
        shutil.rmtree(folder)


def test_clean_recordings_never_alarm(lab: Laboratory) -> None:
    for seed in range(10):
        recording_id = fake_call(lab, seed, seconds=0.3 + seed * 0.7)
        head = read_manifest(lab.store, recording_id, lab.signing_key.public_key())["head"]
        report = verify(lab.store, recording_id, lab.signing_key.public_key(), expected_head=head)
        assert report.valid, report
        assert (report.state, report.head, report.recording_id) == ("sealed", head, recording_id)


def test_a_recording_cut_back_by_somebody_who_can_sign_is_found_by_the_head_in_the_index(
    bench: tuple[Laboratory, str, str], tmp_path: Path
) -> None:
    lab, recording_id, other_id = bench
    head = read_manifest(lab.store, recording_id, lab.signing_key.public_key())["head"]
    folder = tmp_path / recording_id
    shutil.copytree(lab.root / recording_id, folder)
    segment, _ = older_manifest(folder, random.Random(3), lab.root / other_id, lab)
    assert segment is not None
    for path in segments_of(folder)[segment - 1 :]:
        path.unlink()
    assert verify_path(folder, lab.public_pem).valid  # it is a whole, signed recording - of less
    assert verify_path(folder, lab.public_pem, expected_head=head).kind == "wrong_head"


def test_a_whole_recording_in_anothers_place_is_found(bench: tuple[Laboratory, str, str], lab: Laboratory) -> None:
    source, recording_id, other_id = bench
    shutil.copytree(source.root / other_id, lab.root / recording_id)
    assert verify(lab.store, recording_id, source.signing_key.public_key()).kind == "manifest_swapped"


def run_alone(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the verifier as a court's expert would: one file, no repository, no site of ours on the path."""
    return subprocess.run(
        [sys.executable, "-P", str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=script.parent,
        check=False,
    )


def test_the_one_file_verifier_stands_alone(bench: tuple[Laboratory, str, str], tmp_path: Path) -> None:
    lab, recording_id, _ = bench
    script = tmp_path / "alone" / "verify.py"
    script.parent.mkdir()
    shutil.copyfile(recorder.standalone_verify.__file__, script)
    key = tmp_path / "public.pem"
    key.write_bytes(lab.public_pem)
    folder = tmp_path / "bundle"
    shutil.copytree(lab.root / recording_id, folder)
    data_key = read_data_key(lab.store, recording_id, lab.keys, lab.signing_key.public_key()).hex()
    result = run_alone(script, str(folder), "--public-key", str(key), "--data-key", data_key, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == asdict(verify_path(folder, lab.public_pem))
    wrong = run_alone(script, str(folder), "--public-key", str(key), "--data-key", "00" * 32)
    assert (wrong.returncode, "undecryptable in segment 1" in wrong.stdout) == (1, True)
    segments_of(folder)[3].unlink()
    broken = run_alone(script, str(folder), "--public-key", str(key))
    assert (broken.returncode, broken.stdout.strip()) == (1, "NOT VALID: missing in segment 4: segment 4 is not there")
    (folder / "key.json").unlink()
    assert "key_missing" in run_alone(script, str(folder), "--public-key", str(key)).stdout
    assert run_alone(script, str(tmp_path / "nowhere"), "--public-key", str(key)).returncode == 2


def test_the_one_file_verifier_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    text = Path(recorder.standalone_verify.__file__).read_text()
    imported = {
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}
