"""Wheels of what no index has: installs from a VCS, from a file, and editable ones, packed again from what is there.

Building them anew would need their build back ends, which an offline kernel rarely has, and could give other files than
the model was fitted with. So the installed files themselves are packed, and of an editable install the modules that
were shipped with the model. The archive holds no times and no compression, so the same files give the same digest on
every machine; ``wheel``'s own writer promises neither.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nbmlops.capture import Package
from nbmlops.capture.distributions import Distribution, canonical, installed
from nbmlops.packaging.venv_copy import recorded

FOLDER = "wheels"
ANY = "py3-none-any"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
# What installers add beside a wheel's own files, and what is written anew.
ADDED = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"})


@dataclass(frozen=True)
class Wheel:
    """A wheel that is not written yet.

    Attributes
    ----------
    package : str
        Canonical name of the distribution.
    file : str
        Its file's name.
    content : bytes
    """

    package: str
    file: str
    content: bytes

    @property
    def place(self) -> str:
        """Where it lies in the bundle."""
        return f"{FOLDER}/{self.file}"


def wheels_of(packages: Iterable[Package], code: Path, captured: Mapping[str, Any]) -> tuple[Wheel, ...]:
    """Return a wheel of each package that came from no index, as far as its files are known.

    Parameters
    ----------
    packages : iterable of Package
        The pins of a lock.
    code : pathlib.Path
        Folder of the modules that were shipped with the model; an editable install is packed from it.
    captured : mapping
        The captured environment: ``local_modules`` says which module came from where.
    """
    made = (_wheel(one, code, captured) for one in packages if one.origin != "index")
    return tuple(wheel for wheel in made if wheel is not None)


def _wheel(package: Package, code: Path, captured: Mapping[str, Any]) -> Wheel | None:
    here = installed().by_name.get(canonical(package.name))
    same = here is not None and (here.version, *here.origin) == (
        package.version,
        package.origin,
        package.url,
        package.commit,
    )
    if package.origin == "editable":
        files, tag = _shipped(package, code, captured), ANY
    elif here is not None and same:
        files, tag = _installed(here), _tag(here)
    else:  # replaced since: nothing here is what the model was fitted with
        return None
    if not files:
        return None
    stem = f"{canonical(package.name).replace('-', '_')}-{package.version}"
    files |= _metadata(package, here if same else None, folder=f"{stem}.dist-info", tag=tag)
    return Wheel(canonical(package.name), f"{stem}-{tag}.whl", _zip(files, f"{stem}.dist-info/RECORD"))


def _installed(distribution: Distribution) -> dict[str, bytes]:
    """Return the installed files; scripts, which an installer makes, and caches are left out."""
    root, own = distribution.folder.parent, f"{distribution.folder.name}/"
    names = (file.path for file in recorded(distribution) if not file.path.startswith(own))
    return {name: (root / name).read_bytes() for name in names}


def _shipped(package: Package, code: Path, captured: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the shipped modules that lie in an editable install's project."""
    project = Path(unquote(urlsplit(package.url).path)).resolve()
    found: dict[str, bytes] = {}
    for module in captured.get("local_modules") or ():
        place = Path(str(module["path"]))
        if not place.resolve().is_relative_to(project):
            continue
        top = code / place.name
        for file in [top] if top.is_file() else sorted(top.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                found[file.relative_to(code).as_posix()] = file.read_bytes()
    return found


def _tag(distribution: Distribution) -> str:
    """Return what the wheel fits, as its own metadata says."""
    path = distribution.folder / "WHEEL"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    tags = [line.partition(": ")[2].split("-") for line in lines if line.startswith("Tag: ")]
    return "-".join(".".join(sorted(set(part))) for part in zip(*tags, strict=True)) if tags else ANY


def _metadata(package: Package, here: Distribution | None, *, folder: str, tag: str) -> dict[str, bytes]:
    pure = str(tag.endswith("-none-any")).lower()
    tags = "".join(f"Tag: {one}\n" for one in _expanded(tag))
    made = {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n".encode(),
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nGenerator: nbmlops\nRoot-Is-Purelib: {pure}\n{tags}".encode(),
    }
    if here is None:
        return made
    root = here.folder
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name not in ADDED | {"WHEEL"}:
            made[f"{folder}/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return made


def _expanded(tag: str) -> list[str]:
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    return [f"{python}-{abi}-{platform}" for python in pythons for abi in abis for platform in platforms]


def _zip(files: Mapping[str, bytes], record: str) -> bytes:
    lines = [f"{_quoted(name)},{_hash(content)},{len(content)}" for name, content in sorted(files.items())]
    whole = {**files, record: "".join(f"{line}\n" for line in [*lines, f"{record},,"]).encode()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(whole.items()):
            archive.writestr(zipfile.ZipInfo(name, EARLIEST), content)
    return stream.getvalue()


def _quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
