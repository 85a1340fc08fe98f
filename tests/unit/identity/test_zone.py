"""Finding and reading zones on made pages, and on specimens where they are."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media_factory import LEVELS, DocumentFields, make_page, random_fields, zone_lines
from tests.unit.identity.specimens import HASHED, SPECIMENS, as_printed
from visitserver.identity import mrz
from visitserver.identity.worker.zone import Zone, ZoneReader

TODAY = date(2026, 3, 2)
EACH = 3


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def certain(zone: Zone) -> bool:
    """Whether the reading would be shown without any doubt."""
    try:
        return not zone.doubtful and mrz.parse(zone.lines, today=TODAY).consistent
    except mrz.MrzError:
        return False


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["TD1", "TD2", "TD3", "MRV-A"])
def test_made_pages_are_read_as_written(zones: ZoneReader, kind: str, level: str) -> None:
    exact = 0
    for number in range(EACH):
        # 400 of each are in tests/bench/bench_identity.py; these few must all be right or in doubt.
        fields = random_fields(random.Random(f"{kind}{level}{number}"))
        if kind == "MRV-A":
            fields = fields.with_(optional="")
        page = make_page(kind, None, fields, level=level, pixels_per_char=18 + 4 * number, seed=number)
        zone = zones.read(pixels(page))
        assert zone is not None, (kind, level, number)
        right = list(zone.lines) == zone_lines(kind, fields)
        assert right or not certain(zone), (zone.lines, zone_lines(kind, fields))
        exact += right
    assert exact >= EACH - 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_any_way_up(zones: ZoneReader, turns: int) -> None:
    fields = DocumentFields()
    picture = np.ascontiguousarray(np.rot90(pixels(make_page("TD3", None, fields, level="mild")), turns))
    zone = zones.read(picture)
    assert zone is not None
    assert list(zone.lines) == zone_lines("TD3", fields)
    assert zone.quarter_turns == turns


def test_twins_are_told_apart_by_their_shape(zones: ZoneReader) -> None:
    fields = DocumentFields(number="O0I1S5B8Z", optional="Z2G6Q0O1I8B5S2")
    zone = zones.read(pixels(make_page("TD3", None, fields, level="mild", pixels_per_char=22)))
    assert zone is not None
    assert list(zone.lines) == zone_lines("TD3", fields)


def test_a_wrong_check_digit_is_read_and_left_wrong(zones: ZoneReader) -> None:
    lines = zone_lines("TD3", DocumentFields())
    lines[1] = lines[1][:9] + "1" + lines[1][10:]
    zone = zones.read(pixels(make_page("TD3", None, lines=lines, level="mild")))
    assert zone is not None
    assert list(zone.lines) == lines
    assert not mrz.parse(zone.lines, today=TODAY).consistent


def test_the_size_of_the_print_is_measured(zones: ZoneReader) -> None:
    for size in (14.0, 20.0, 30.0):
        zone = zones.read(pixels(make_page("TD3", None, level="clean", pixels_per_char=size)))
        assert zone is not None
        assert zone.pixels_per_char == pytest.approx(size, rel=0.04)


def test_a_page_without_a_zone_has_none(zones: ZoneReader) -> None:
    page = pixels(make_page("TD3", None, level="clean"))
    assert zones.read(np.ascontiguousarray(page[: page.shape[0] * 2 // 3])) is None
    assert zones.read(np.full((600, 800, 3), 180, np.uint8)) is None


def test_specimens_are_read_as_printed(zones: ZoneReader, testdata: Path) -> None:
    folder = testdata / "mrz"
    names = [*SPECIMENS, *HASHED]
    right, wrong_but_certain = [], []
    for name in names:
        zone = zones.read(cv2.imread(str(folder / name)))
        if zone is not None and as_printed(name, zone.lines):
            right.append(name)
        elif zone is not None and certain(zone):
            wrong_but_certain.append(name)
    assert len(right) >= 0.8 * len(names), sorted(set(names) - set(right))
    assert not wrong_but_certain
