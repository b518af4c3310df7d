"""The decoders of the versions that answered, made from the signatures in their bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nbmlops.serving.bundle import Manifest
from nbmlops.serving.decoding import Decoder, FrameDecoder, make_decoder
from nbmlops.serving.documents import media_type
from nbmlops.serving.errors import RequestError, ServingError
from nbmlops.serving.inputs import Decoded, Table
from nbmlops.serving.oip.mapping import Mapping, make_mapping
from nbmlops.serving.oip.requests import read_request
from nbmlops.serving.segments import Record
from nbmlops.serving.signature import Signature, parse_signature

OIP = "oip"
UNREADABLE = (RequestError, ServingError, OSError, ValueError, TypeError, KeyError, IndexError, msgspec.MsgspecError)


class Undecodable(Exception):
    """A record whose request can't be read: its bundle is gone, or it was none that the model takes."""


class Decoders:
    """Reads captured requests with the decoder of the version that answered them.

    Parameters
    ----------
    folder : pathlib.Path
        The workspace's bundles, each in a folder named by its digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signatures: dict[str, Signature | None] = {}
        self._mappings: dict[str, Mapping] = {}
        self._decoders: dict[tuple[str, tuple[str, ...] | None], Decoder] = {}

    def decode(self, record: Record) -> tuple[Decoder, Decoded | Table]:
        """Return a record's request, with the decoder that read it.

        Raises
        ------
        Undecodable
        """
        if not record.body or record.wire not in ("mlflow", "columns", OIP):
            raise Undecodable
        try:
            if record.wire == OIP:
                return self._decoder(record.bundle, None), self._tensors(record)
            columns = _columns(record.body) if record.wire == "columns" else None
            decoder = self._decoder(record.bundle, columns)
            return decoder, decoder.decode(record.body, media_type(record.kind.encode())).data
        except UNREADABLE as error:
            raise Undecodable from error

    def classes(self, record: Record) -> list[Any] | None:
        """Return the classes of a classifier, in the order of its probabilities."""
        signature = self._signature(record.bundle)
        return None if signature is None else signature.classes

    def _tensors(self, record: Record) -> Decoded | Table:
        signature = self._signature(record.bundle)
        if signature is None:
            raise Undecodable
        if record.bundle not in self._mappings:
            self._mappings[record.bundle] = make_mapping(signature)
        request, tensors = read_request(record.body, b"%d" % record.split if record.split else None)
        return self._mappings[record.bundle](tensors, (request.parameters or {}).get("content_type"))

    def _decoder(self, digest: str, columns: tuple[str, ...] | None) -> Decoder:
        """Return the decoder of a bundle's signature, or of those of its columns that were kept."""
        if (digest, columns) not in self._decoders:
            signature = self._signature(digest)
            if signature is None:
                raise Undecodable
            kept = None if columns is None else [one for one in signature.columns or () if one.name in columns]
            self._decoders[digest, columns] = make_decoder(signature) if kept is None else FrameDecoder(kept)
        return self._decoders[digest, columns]

    def _signature(self, digest: str) -> Signature | None:
        if digest not in self._signatures:
            try:
                content = (self._folder / digest.rpartition(":")[2] / "bundle.json").read_bytes()
                self._signatures[digest] = parse_signature(msgspec.json.decode(content, type=Manifest).signature)
            except UNREADABLE:
                self._signatures[digest] = None
        return self._signatures[digest]


def _columns(body: bytes) -> tuple[str, ...]:
    document: Any = msgspec.json.decode(body)
    return tuple(document["dataframe_split"]["columns"])
