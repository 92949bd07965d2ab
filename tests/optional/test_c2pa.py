"""Content credentials, signed and read by c2pa-python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.errors import DubkitError, InputError, UsageError
from dubkit.media import credentials
from dubkit.media.credentials import load_signer, sign, verify_film
from dubkit.media.probe import probe
from dubkit.work.store import digest_file
from tests.clips import ffmpeg, film

pytestmark = pytest.mark.c2pa
c2pa = pytest.importorskip("c2pa")

FACTS = {
    "digital_source_type": credentials.SOURCE_TYPE,
    "source": {"name": "film.mp4", "sha256": "ab" * 32},
    "dub": {"name": "dub.wav", "sha256": "cd" * 32},
    "language": "de",
    "consent": ["Anna"],
    "shots": [{"shot": "0000000-0000025", "seconds": [[0.0, 0.8]], "changed": "mouth region"}],
}
runner = CliRunner()


@pytest.fixture(scope="module", params=[".mp4", ".mov", ".avi"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    source = film(folder / f"film{request.param}", seconds=1)
    made = folder / f"dubbed{request.param}"
    made.write_bytes(source.read_bytes())
    if request.param != ".avi":
        credentials.add_xmp(made)
    sign(made, source, FACTS, load_signer(None, None), "dubbed")
    return made


def test_a_signed_film_says_what_was_changed_and_still_plays(signed: Path) -> None:
    found = verify_film(signed, "")
    assert (found.manifest, found.state, found.problems) == ("signed", "intact", ())
    assert found.test
    assert found.facts == FACTS
    if signed.suffix != ".avi":
        assert found.source_type == credentials.SOURCE_TYPE
    assert probe(signed)[0].frames == 25
    done = runner.invoke(app, ["verify", str(signed)])
    assert done.exit_code == 0, done.output
    assert "proves nothing of who signed" in done.output
    assert "shot 0000000-0000025: mouth region, 0 to 0.8 s" in done.output


def test_c2pas_reader_finds_no_error_where_the_authority_is_trusted(tmp_path: Path) -> None:
    made = film(tmp_path / "film.mp4", seconds=1)
    signer = load_signer(None, None)
    sign(made, made, FACTS, signer, "dubbed")
    trust = {
        "trust": {"trust_anchors": signer.chain.decode()},
        "verify": {"verify_trust": True},
    }
    with c2pa.Context(c2pa.Settings.from_dict(trust)) as context:
        told = json.loads(c2pa.Reader(str(made), context=context).json())
    assert told["validation_state"] == "Trusted"
    assert not told.get("validation_status")
    manifest = told["manifests"][told["active_manifest"]]
    actions = next(a for a in manifest["assertions"] if a["label"] == "c2pa.actions.v2")
    edited = actions["data"]["actions"][-1]
    assert edited["action"] == "c2pa.edited"
    assert edited["digitalSourceType"] == credentials.SOURCE_TYPE
    assert manifest["ingredients"][0]["relationship"] == "parentOf"


def test_a_changed_film_and_a_stripped_manifest_are_told_apart(
    signed: Path, tmp_path: Path
) -> None:
    data = bytearray(signed.read_bytes())
    place = data.index(b"mdat" if signed.suffix != ".avi" else b"movi") + 2000
    data[place] ^= 0xFF
    changed = tmp_path / f"changed{signed.suffix}"
    changed.write_bytes(data)
    found = verify_film(changed, "")
    assert (found.manifest, found.state) == ("signed", "changed")
    assert "changed after it was made" in found.problems[0]
    stripped = tmp_path / f"stripped{signed.suffix}"
    ffmpeg("-i", signed, "-c", "copy", stripped)
    found = verify_film(stripped, "")
    assert (found.manifest, found.state) == ("none", "unknown")
    assert "stripped, or never there" in found.problems[0]
    assert runner.invoke(app, ["verify", str(stripped)]).exit_code == 8


def certificate(
    folder: Path, kind: str = "p256", days: Sequence[int] = (-1, 30)
) -> dict[str, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import NameOID

    made: Any = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else None
    made = made or ec.generate_private_key({"p256": ec.SECP256R1(), "k1": ec.SECP256K1()}[kind])
    now, name = (
        datetime.now(UTC),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kind)]),
    )
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(made.public_key())
    builder = builder.not_valid_before(now + timedelta(days[0])).not_valid_after(
        now + timedelta(days[1])
    )
    cert = builder.sign(made, None if kind == "ed25519" else hashes.SHA256())
    paths = {"certificate": folder / f"{kind}.crt", "key": folder / f"{kind}.key"}
    paths["certificate"].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    paths["key"].write_bytes(made.private_bytes(*form, serialization.NoEncryption()))
    return paths


def test_the_users_certificate_signs(tmp_path: Path) -> None:
    assert load_signer(*certificate(tmp_path).values()).algorithm == "es256"
    assert load_signer(*certificate(tmp_path, "ed25519").values()).algorithm == "ed25519"
    assert not load_signer(*certificate(tmp_path).values()).test


def test_certificates_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    good, other = certificate(tmp_path), certificate(tmp_path, "ed25519")
    odd = certificate(tmp_path, "k1")
    (tmp_path / "old").mkdir()
    old = certificate(tmp_path / "old", days=(-30, -1))
    wrong: list[tuple[Path | None, Path | None, type[DubkitError], str]] = [
        (old["certificate"], old["key"], UsageError, "not today"),
        (good["certificate"], other["key"], UsageError, "is not the key of"),
        (good["certificate"], None, UsageError, "needs its private key"),
        (good["key"], good["key"], InputError, "not a certificate"),
        (good["certificate"], good["certificate"], InputError, "not an unencrypted private key"),
        (good["certificate"], tmp_path / "no", InputError, "cannot be read"),
        (odd["certificate"], odd["key"], UsageError, "does not allow"),
    ]
    for chain, key, kind, words in wrong:
        with pytest.raises(kind, match=words):
            load_signer(chain, key)


def test_a_film_of_other_bytes_is_another_film(signed: Path) -> None:
    assert digest_file(signed) != digest_file(signed.with_name(f"film{signed.suffix}"))


@pytest.mark.parametrize("suffix", [".mkv", ".mxf", ".ts"])
def test_beside_a_film_that_holds_no_manifest_lies_a_signed_one(
    tmp_path: Path, suffix: str
) -> None:
    video = ("-c:v", "mpeg2video", "-b:v", "2M")
    extra = ("-c:a", "pcm_s16le", "-ar", "48000") if suffix == ".mxf" else ()
    source = film(tmp_path / f"film{suffix}", seconds=0.4, video=video, extra=extra)
    made = tmp_path / f"dubbed{suffix}"
    made.write_bytes(source.read_bytes())
    told = credentials.attach(made, source, FACTS, load_signer(None, None), made.name)
    assert f"beside the film: {suffix} holds none" in told[0]
    assert "TEST certificate" in told[1]
    (tmp_path / credentials.STORE).rename(tmp_path / "dubbed.c2pa")
    found = verify_film(made, "")
    assert (found.manifest, found.state, found.facts) == ("signed", "intact", FACTS)
    assert runner.invoke(app, ["verify", str(made)]).exit_code == 0
    data = bytearray(made.read_bytes())
    data[len(data) // 2] ^= 0xFF
    made.write_bytes(data)
    found = verify_film(made, "")
    assert (found.state, "changed after it was made" in found.problems[0]) == ("changed", True)
    assert runner.invoke(app, ["verify", str(made)]).exit_code == 8
    (tmp_path / "dubbed.c2pa").write_bytes(b"no manifest")
    with pytest.raises(InputError, match="cannot be read"):
        verify_film(made, "")
    (tmp_path / "dubbed.c2pa").unlink()
    assert verify_film(made, "").manifest == "none"


def test_a_film_made_of_one_that_holds_no_manifest_is_valid_too(tmp_path: Path) -> None:
    source, made = (film(tmp_path / name, seconds=0.4) for name in ("film.mkv", "dubbed.mp4"))
    assert len(credentials.attach(made, source, FACTS, load_signer(None, None), "dubbed")) == 1
    assert verify_film(made, "").state == "intact"
