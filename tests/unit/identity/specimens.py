"""The zones of the specimen pages in ../shared/testdata/mrz, as printed: read by eye from enlargements.

Every page is a published specimen. For one of them, whose name looks like a person's, only the hash of the lines stands
here.
"""

from __future__ import annotations

import hashlib


def _zone(length: int, *lines: str) -> tuple[str, ...]:
    return tuple(line.ljust(length, "<") for line in lines)


SPECIMENS: dict[str, tuple[str, ...]] = {
    # Ñ is no character of a zone: this illustration cannot be read as printed by a reader that keeps to the alphabet.
    "0_id-esp.png": _zone(
        30, "IDESPAAA1000014<00000023T", "7212018F1101236ESP<<<<<<<<<<<8", "ESPAÑOLA<ESPAÑOLA<CARMEN"
    ),
    "100_id-che.jpg": _zone(30, "IDCHES0002068<8", "8102287F1301014CHE<<<<<<<<<<<4", "VADIS<<QUO"),
    "100_id-rou.jpg": _zone(36, "IDROUSAVA<<SUPERMAN", "HD198025<51328505095M130509012049941"),
    "100_id-usa.jpg": _zone(
        30, "IAUSA0000000033LIN1044750079", "5808175F1004027COD<<<<<<<<<<<7", "SPECIMEN<<TEST<VOID"
    ),
    "100_pass-chn.jpg": _zone(44, "P<TWNLIN<<MEI<HUA", "0000000000TWN7601015F1404018A234567893<<<<18"),
    "100_pass-cze2.jpg": _zone(44, "P<CZESPECIMEN<<VZOR", "99009054<4CZE6906229F16072996956220612<<<<74"),
    "100_pass-hrv.jpg": _zone(44, "P<HRVSPECIMEN<<SPECIMEN", "0070070071HRV8212258F1407019<<<<<<<<<<<<<<06"),
    "100_pass-ltu.jpg": _zone(44, "P<LTUBASANAVICIENE<<BIRUTE", "00000000<0LTU5911239F120101145911231023<<<16"),
    "100_pass-polx.jpg": _zone(44, "P<POLKOWALSKA<KWIATKOWSKA<<JOANNA", "AA00000000POL6002084F1412314<<<<<<<<<<<<<<<4"),
    "100_pass2-uto.jpg": _zone(36, "I<UTOERIKSSON<<ANNA<MARIA", "D231458907UTO7408122F1204159<<<<<<<6"),
    "100_visa-usa.jpg": _zone(44, "VIUSATRAVELER<<HAPPYPERSON", "555123ABC6GBR6502056F0412236IFLND00AMS803085"),
    "25_pass-uto.jpg": _zone(44, "P<UTOERIKSSON<<ANNA<MARIA", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"),
    "43_pass-twn.jpg": _zone(44, "P<TWNLIN<<CHIEN<SHENG", "M000004264TWN6803029M9801048F122187664<<<<66"),
    "62_pass-aus.png": _zone(44, "P<AUSCITIZEN<<JANE", "PA09404097AUS8406077F1903212<17331334P<<<<08"),
    "77_card-cmw.png": _zone(30, "IDCMW<512849702", "6104128M1402209CMW<<<<<<<<<<<1", "PUBLIC<<JON"),
    "79_pass-hun.png": _zone(44, "P<HUNHANDRA<<ROZALIA<IRMA", "BD00020282HUN7802225F2203012<<<<<<<<<<<<<<06"),
}
HASHED = {"33_id-usa.jpg": "9f84a8bf10341b5c48e46ac745f2747a84038aab712b2ac69638ec5d6148c589"}


def as_printed(name: str, lines: tuple[str, ...]) -> bool:
    """Whether `lines` are what is printed on the specimen `name`."""
    if name in HASHED:
        return hashlib.sha256("\n".join(lines).encode()).hexdigest() == HASHED[name]
    return lines == SPECIMENS[name]
