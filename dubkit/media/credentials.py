"""What a film says of how it was made: the IPTC digital source type in its metadata, and content credentials (C2PA).

The source type is written into every film in which a mouth was changed: an XMP packet in MP4 and MOV, a tag in other
containers. Content credentials are a signed manifest, made and read by ``c2pa-python``, the extra ``c2pa``. It lies in
the film or, where the container holds none, beside it in a ``.c2pa`` file.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from dubkit.errors import InputError, OutputError, UsageError
from dubkit.media.container import open_media
from dubkit.records import Shown
from dubkit.version import __version__

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
FACTS = "org.dubkit.dub"  # label of the assertion that holds what was changed
SIDECAR = "credentials.json"  # unsigned facts beside a film
STORE = "credentials.c2pa"  # a signed manifest beside one
TAG = "DIGITAL_SOURCE_TYPE"
INSTALL = "pip install 'dubkit[c2pa]'"
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # of the box, by the XMP specification
_ISO = (".mp4", ".m4v", ".mov")
_FORMATS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/avi",
}
_TEST = "dubkit test certificate"
_LARGEST = 2**20  # bytes of an XMP packet
_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def tags(suffix: str) -> dict[str, str]:
    """Metadata that states the source type in a container without XMP; empty where it holds neither."""
    if suffix in (".mkv", ".webm"):
        return {TAG: SOURCE_TYPE}
    if suffix == ".mxf":
        return {f"comment_{TAG}": SOURCE_TYPE}
    return {"comment": SOURCE_TYPE} if suffix == ".avi" else {}


def add_xmp(film: Path) -> None:
    """Append the XMP packet to an .mp4 or .mov as a box of its own; nothing else moves."""
    data = _PACKET.encode()
    with film.open("ab") as file:
        file.write(struct.pack(">I4s", 24 + len(data), b"uuid") + _XMP + data)


def stated_source_type(film: Path) -> str | None:
    """The digital source type in a film's metadata. Raises InputError for what is no film."""
    with open_media(film) as media:
        found = {name.upper(): value for name, value in media.metadata.items()}
    for name, value in found.items():
        if name.endswith(TAG) or (name == "COMMENT" and "digitalsourcetype" in value):
            return value
    text = _xmp(film) if film.suffix.lower() in _ISO else ""
    _, _, rest = text.partition('DigitalSourceType="')
    return rest.partition('"')[0] or None


def _xmp(film: Path) -> str:
    """The XMP packet of an .mp4 or .mov; empty where there is none."""
    with film.open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        while at + 16 <= end:  # no packet fits into less
            file.seek(at)
            size, kind, large = struct.unpack(">I4sQ", file.read(16))
            head = 8
            if size == 1:
                size, head = large, 16
            if kind == b"uuid" and head + 16 <= size < _LARGEST:
                file.seek(at + head)
                if file.read(16) == _XMP:
                    return file.read(size - head - 16).decode(errors="replace")
            if size < 8:
                return ""
            at += size
    return ""


def missing() -> str | None:
    """Why nothing can be signed or read here, in words; None where it can."""
    if importlib.util.find_spec("c2pa") is None:
        return f"c2pa-python is not installed ({INSTALL})"
    return None


def beside(film: Path) -> dict[str, Path]:
    """Where files that belong to a film's credentials lie beside it, by their names in a work folder."""
    return {
        SIDECAR: film.with_name(f"{film.stem}.{SIDECAR}"),
        STORE: film.with_name(f"{film.stem}.c2pa"),
    }


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate chain and its key, as PEM."""

    chain: bytes
    key: bytes
    algorithm: str
    test: bool = False  # self-made: it proves nothing about who signed


def load_signer(certificate: Path | None, key: Path | None) -> Signer:
    """The user's certificate and key, or a self-made test certificate where neither is given.

    Raises UsageError for one without the other, one that is expired, or a key of another certificate; InputError for
    files that are none. Needs the extra.
    """
    if certificate is None and key is None:
        return _test_signer()
    if certificate is None or key is None:
        raise UsageError(
            "a certificate needs its private key, and a key its certificate",
            hint="give both stitch.certificate and stitch.private_key",
        )
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain, secret = certificate.read_bytes(), key.read_bytes()
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError) as error:
        raise InputError(f"{certificate} is not a certificate in PEM") from error
    try:
        private: Any = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{key} is not an unencrypted private key in PEM") from error
    now = datetime.now(UTC)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        raise UsageError(
            f"the certificate {certificate} is valid from {first.not_valid_before_utc:%Y-%m-%d} "
            f"to {first.not_valid_after_utc:%Y-%m-%d}, not today",
            hint="renew it, or sign with none: a test certificate is then made",
        )
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise UsageError(
            f"{key} is not the key of {certificate}", hint="give the key of the first certificate"
        )
    return Signer(chain, secret, _algorithm(private))


def _algorithm(private: Any) -> str:
    """C2PA's name of what a key signs with. Raises UsageError for a kind that C2PA does not allow."""
    name = type(private).__name__.lower()
    if "ed25519" in name:
        return "ed25519"
    if "rsa" in name:
        return "ps256"
    curve = getattr(getattr(private, "curve", None), "name", "")
    found = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}.get(curve)
    if found is None:
        raise UsageError(
            "the private key is of a kind that C2PA does not allow",
            hint="P-256, P-384, P-521, Ed25519 or RSA",
        )
    return found


def _test_signer() -> Signer:
    """A certificate by an authority of its own, made anew: it says nothing of who signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _TEST),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{_TEST} {role}"),
            ]
        )
        for role in ("authority", "signer")
    ]
    made = []
    for number, authority in enumerate((True, False)):
        usage = [not authority, *[False] * 4, authority, authority, False, False]
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.KeyUsage(*usage), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(keys[number].public_key()), False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False
            )
        )
        if not authority:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in reversed(made))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Signer(chain, key, "es256", test=True)


def attach(
    film: Path, source: Path, facts: Mapping[str, object], signer: Signer, title: str
) -> tuple[str, ...]:
    """Sign a film, made of ``source``; returns what is to be said of it. Needs the extra.

    Where the container holds no manifest, it is the file `STORE` beside the film. Raises OutputError where it does
    not hold.
    """
    store = None if film.suffix.lower() in _FORMATS else film.with_name(STORE)
    sign(film, source, facts, signer, title, store)
    checked = _checked(film, store)
    if checked is None or checked[1]:
        raise OutputError(
            f"the content credentials do not hold: {'; '.join(checked[1] if checked else ())}"
        )
    notes = []
    if store is not None:
        notes.append(
            f"content credentials are a .c2pa file beside the film: {film.suffix} holds none"
        )
    if signer.test:
        notes.append(
            "content credentials are signed with a TEST certificate: they prove nothing of who made this"
        )
    return tuple(notes)


def sign(
    film: Path,
    source: Path,
    facts: Mapping[str, object],
    signer: Signer,
    title: str,
    store: Path | None = None,
) -> None:
    """Put a signed manifest into a film, or into the file ``store``: edited, with ``facts``, made of ``source``."""
    import c2pa

    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPE,
        "description": "mouths speak a dub",
    }
    claim = {
        "claim_generator_info": [{"name": "dubkit", "version": __version__}],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [edited]}},
            {"label": FACTS, "data": facts},
        ],
    }
    info = c2pa.C2paSignerInfo(signer.algorithm.encode(), signer.chain, signer.key, None)
    with c2pa.Signer.from_info(info) as known, c2pa.Builder(json.dumps(claim)) as builder:
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        with source.open("rb") as stream:
            parent = {"title": source.name, "relationship": "parentOf"}
            form = _FORMATS.get(source.suffix.lower(), "application/octet-stream")
            builder.add_ingredient(json.dumps(parent), form, stream)
        if store is not None:
            store.write_bytes(_detached(builder, known, film))
            return
        part = film.with_name(f"signed{film.suffix}")
        builder.sign_file(film, part, known)
    part.replace(film)


def _detached(builder: Any, signer: Any, film: Path) -> bytes:
    """A manifest that is bound to the whole film by its hash: the C library makes it, its Python package cannot yet."""
    from c2pa.c2pa import _lib

    state = hashlib.sha256()
    with film.open("rb") as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    bound = {"exclusions": [], "name": "whole file", "alg": "sha256", "pad": [0] * 8}
    bound["hash"] = list(state.digest())
    out = ctypes.POINTER(ctypes.c_ubyte)()
    kind, handle = b"application/c2pa", ctypes.c_void_p
    reserve, make = (
        _lib.c2pa_builder_data_hashed_placeholder,
        _lib.c2pa_builder_sign_data_hashed_embeddable,
    )
    reserve.restype = make.restype = ctypes.c_int64
    reserve.argtypes = [handle, ctypes.c_size_t, ctypes.c_char_p, handle]
    make.argtypes = [handle, handle, ctypes.c_char_p, ctypes.c_char_p, handle, handle]
    size = reserve(builder._handle, signer.reserve_size(), kind, ctypes.byref(out))
    if size > 0:
        text = json.dumps(bound).encode()
        size = make(builder._handle, signer._handle, text, kind, None, ctypes.byref(out))
    if size <= 0:
        raise OutputError("c2pa-python cannot sign a manifest beside a film", hint="update it")
    return ctypes.string_at(out, size)


_Seconds = Annotated[float, Field(strict=True, ge=-1e9, le=1e9)]


class _File(BaseModel):
    name: str
    sha256: str


class _Shot(BaseModel):
    shot: str
    changed: str
    seconds: list[tuple[_Seconds, _Seconds]]


class _Facts(BaseModel):
    """What `in_words` needs of the facts of a dub, which anybody may have written."""

    source: _File
    dub: _File
    language: str | None
    consent: str | list[str]
    shots: list[_Shot] = []


_LARGEST_FACTS = 64 * 2**20  # bytes


@dataclass(frozen=True, slots=True, repr=False)
class Verification(Shown):
    """What a film says of itself, and whether it is true."""

    film: str
    manifest: str  # signed | sidecar | none
    state: str  # intact | changed | unknown
    problems: tuple[str, ...]
    source_type: str | None
    signed_by: str = ""
    test: bool = False
    facts: Mapping[str, Any] | None = None

    def facts_shown(self) -> dict[str, object]:
        """The film, whether it is intact, and what is wrong with it."""
        wrong = "; ".join(self.problems) or "nothing"
        return {"film": self.film, "manifest": self.manifest, "state": self.state, "wrong": wrong}


_CHANGED = "the film was changed after it was made"
_OTHER = (
    "the film is not the one that the facts beside it are of: changed, or made again without them"
)


def verify_film(film: Path, digest: str) -> Verification:
    """Read what a film carries, or what lies beside it; ``digest`` is the film's SHA-256. Raises InputError."""
    source_type = stated_source_type(film)
    facts_file, store = beside(film).values()
    own = _checked(film, store if store.is_file() else None)
    if own is not None:
        active, problems = own
        claimed = active.get("signature_info", {})
        issuer = claimed.get("issuer") or claimed.get("common_name") or "unknown"
        stated = [a["data"] for a in active.get("assertions", ()) if a["label"] == FACTS]
        try:
            for facts_stated in stated:
                _Facts.model_validate(facts_stated)
        except ValueError as error:
            raise InputError(
                f"the content credentials of {film} hold facts of a dub that cannot be read"
            ) from error
        facts = stated[0] if stated else None
        test = issuer == _TEST
        state = "changed" if problems else "intact"
        return Verification(
            str(film), "signed", state, tuple(problems), source_type, issuer, test, facts
        )
    if facts_file.is_file():
        try:
            if facts_file.stat().st_size > _LARGEST_FACTS:
                raise ValueError("it is too large")
            facts = json.loads(facts_file.read_bytes())
            _Facts.model_validate(facts)
            same = facts["result_sha256"] == digest
        except (OSError, ValueError, KeyError, RecursionError) as error:
            raise InputError(f"{facts_file} cannot be read as facts of a dub") from error
        problems = [] if same else [_OTHER]
        state = "intact" if same else "changed"
        return Verification(str(film), "sidecar", state, tuple(problems), source_type, facts=facts)
    why = missing()
    may = store.is_file() or film.suffix.lower() in _FORMATS
    reason = (
        f"it may have a manifest, but {why}"
        if why and may
        else "it holds no manifest, and none lies beside it: stripped, or never there"
    )
    return Verification(str(film), "none", "unknown", (reason,), source_type)


def _checked(film: Path, store: Path | None) -> tuple[dict[str, Any], list[str]] | None:
    """A film's manifest and what is wrong with it, the gravest first; None where there is none."""
    own = _manifest(film, store)
    if own is None:
        return None
    active, told, codes = own
    problems = [text for code, text in zip(codes, told, strict=True) if code != _UNTRUSTED]
    if any(code.startswith("assertion.bmffHash") or "mismatch" in code.lower() for code in codes):
        problems.insert(0, _CHANGED)
    return active, problems


def in_words(found: Verification) -> list[str]:
    """What was found, line by line."""
    lines = [f"digital source type: {found.source_type or 'not stated'}"]
    if found.manifest == "signed":
        by = f"{found.signed_by}{', which proves nothing of who signed' if found.test else ''}"
        lines.append(f"content credentials: signed by {by}; the film is {found.state}")
    elif found.manifest == "sidecar":
        lines.append(f"facts beside the film, unsigned; the film is {found.state}")
    facts = found.facts or {}
    if facts:
        lines.append(f"made of {facts['source']['name']} ({facts['source']['sha256']})")
        lines.append(f"dub: {facts['dub']['name']}, language {facts['language'] or 'not stated'}")
        consent = facts["consent"]
        lines.append(f"consent: {consent if isinstance(consent, str) else ', '.join(consent)}")
    for shot in facts.get("shots", ()):
        spans = ", ".join(f"{start:g} to {end:g} s" for start, end in shot["seconds"])
        lines.append(f"shot {shot['shot']}: {shot['changed']}, {spans}")
    return lines


_UNTRUSTED = "signingCredential.untrusted"


def _manifest(film: Path, store: Path | None) -> tuple[dict[str, Any], list[str], list[str]] | None:
    """The active manifest, and what its own reader finds wrong, in words and codes; None where there is none."""
    inside = film.suffix.lower() in _FORMATS
    if missing() is not None or not (inside or store):
        return None
    import c2pa

    try:
        if inside:
            with c2pa.Reader(str(film)) as reader:
                found = json.loads(reader.json())
        elif store is not None:
            with (
                film.open("rb") as stream,
                c2pa.Reader("application/c2pa", stream, store.read_bytes()) as reader,
            ):
                found = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in type(error).__name__ or "no JUMBF data" in str(error):
            return None
        raise InputError(f"the content credentials of {film} cannot be read: {error}") from error
    wrong: Sequence[Mapping[str, str]] = found.get("validation_status") or ()
    active = found["manifests"][found["active_manifest"]]
    told = [f"{entry.get('explanation', entry['code'])} ({entry['code']})" for entry in wrong]
    return active, told, [entry["code"] for entry in wrong]
