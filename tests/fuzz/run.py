"""Fuzz one target with atheris: python -m tests.fuzz.run TARGET [--seconds N] [--runs N] [--keep]

Starts from the kept inputs. What it finds on the way is for this run only, unless --keep adds to tests/fuzz/corpus
what reaches new code. An input that breaks something is written to tests/fuzz/corpus/TARGET/crash-… and ends the run:
commit it with the fix, and it is tried for ever after.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    chosen = parser.parse_args()

    with atheris.instrument_imports(include=["signaling", "aioice.stun", "aiortc.sdp", "aiortc.rtp"]):
        from tests.fuzz.targets import TARGETS
    if chosen.target not in TARGETS:
        parser.error(f"the targets are: {', '.join(TARGETS)}")
    target = TARGETS[chosen.target]

    with tempfile.TemporaryDirectory(prefix="visit-fuzz-") as folder:
        dictionary = Path(folder) / "words"
        dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        found = target.folder if chosen.keep else Path(folder) / "found"
        found.mkdir(exist_ok=True)
        arguments = [
            sys.argv[0],
            f"-max_len={target.longest}",
            f"-max_total_time={chosen.seconds}",
            f"-runs={chosen.runs}",
            f"-seed={chosen.seed}",
            f"-artifact_prefix={target.folder}/",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            *([f"-dict={dictionary}"] if target.words else []),
            str(found),
            str(target.folder),
        ]
        atheris.Setup(arguments, target.run)
        atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(
        character if character.isalnum() or character in " =:/-" else f"\\x{ord(character):02x}" for character in word
    )


if __name__ == "__main__":
    main()
