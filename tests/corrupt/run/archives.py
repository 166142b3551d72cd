"""Damage to what is packed: gzip around a text, OpenI's archive, MIMIC-CXR's zip, Parquet; and to the reports in them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from .plain import ANY, HUGE, Change, File, blank, empty, noise, page
from .texts import harmless_tables, table_changes

Members = dict[str, bytes]
Edit = Callable[[Members, str, Random], object]


def cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) // 3, 2 * len(content) // 3)]


def flipped(content: bytes, random: Random) -> bytes:
    """Forty wrong bytes in the middle."""
    place = random.randrange(len(content) // 3, len(content) // 2)
    return content[:place] + bytes(byte ^ 0x5A for byte in content[place : place + 40]) + content[place + 40 :]


PACKED: dict[str, Change] = {
    "empty": empty,
    "random bytes": noise,
    "a web page": page,
    "cut in the middle": cut,
    "wrong bytes in the middle": flipped,
}


def packed_table_changes(file: File) -> dict[str, Change]:
    """What can happen to a CSV in gzip: to the packed file, and to the table in it."""
    found = dict(PACKED)
    found["not packed at all"] = lambda content, random: gzip.decompress(content)
    found["its first ten bytes alone"] = lambda content, random: content[:10]
    found["one line that unpacks to 32 MB"] = lambda content, random: gzip.compress(b"a" * (1 << 25))
    for name, change in table_changes(file).items():
        found[f"inside: {name}"] = _inside(change)
    return found


def harmless_packed_tables() -> dict[str, Change]:
    """CSV in gzip as other programs write it."""
    return {f"inside: {name}": _inside(change) for name, change in harmless_tables().items()}


def _inside(change: Change) -> Change:
    return lambda content, random: gzip.compress(change(gzip.decompress(content), random), mtime=0)


# Archives.


def _member(change: Change) -> Edit:
    return lambda members, name, random: members.update({name: change(members[name], random)})


def _renamed(to: str) -> Edit:
    return lambda members, name, random: members.update({to.format(name): members.pop(name)})


MEMBER: dict[str, Edit] = {
    **{f"a report: {name}": _member(change) for name, change in ANY.items()},
    "a report of 2 MB": _member(lambda content, random: content + b" " * (1 << 21)),
    "a report gone": lambda members, name, random: members.pop(name),
}
"""What can happen to one report in an archive."""

XML: dict[str, Edit] = {
    "a report: cut in the middle": _member(cut),
    "a report: of another number": _member(lambda content, random: content.replace(b'uId id="CXR', b'uId id="CXR9', 1)),
    "a report: a document type with entities": _member(
        lambda content, random: content.replace(
            b"<eCitation>", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><eCitation>', 1
        )
    ),
    "a report: a document type from outside": _member(
        lambda content, random: content.replace(b"<eCitation>", b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><eCitation>', 1)
    ),
    "a report: an entity that nobody declares": _member(lambda content, random: content.replace(b"None.", b"&who;", 1)),
    "a report: 100,000 elements deep": _member(lambda content, random: b"<a>" * 100_000),
    "a report: a film with a path": _member(
        lambda content, random: content.replace(b'parentImage id="', b'parentImage id="../../', 1)
    ),
    "a report: a film twice": _member(lambda content, random: content.replace(b"2001", b"1001")),
}
"""What can happen to one report in XML."""


def tar_changes() -> dict[str, Change]:
    """What can happen to OpenI's archive."""
    found = dict(PACKED)
    found["not packed at all"] = lambda content, random: gzip.decompress(content)
    found["inside: empty"] = lambda content, random: gzip.compress(b"")
    found["inside: random bytes"] = _inside(noise)
    found["inside: cut in the middle"] = _inside(cut)
    found["inside: no report"] = lambda content, random: _tar({"readme.txt": b"moved"})
    found["a member that unpacks to 300 MB"] = lambda content, random: _tar(_untar(content), zeros=300 << 20)
    for name, edit in {**MEMBER, **XML}.items():
        found[name] = _tar_edit(edit)
    for name, kind in {"a symbolic link": tarfile.SYMTYPE, "a hard link": tarfile.LNKTYPE, "a device": tarfile.CHRTYPE}.items():
        found[f"a report: {name} in its place"] = _tar_kind(kind)
    found["a report twice"] = lambda content, random: _tar(_untar(content), twice=random.choice(list(_untar(content))))
    found["a report under another number, with a path upward"] = _tar_edit(
        lambda members, name, random: _moved(members, name, "../../../../etc/9")
    )
    found["a report of negative size"] = _negative
    return found


def harmless_tars() -> dict[str, Change]:
    """Archives that would write outside the folder if they were unpacked; nobody unpacks them."""
    return {
        "a report under a path upward": _tar_edit(lambda members, name, random: _moved(members, name, "../../../../etc/")),
        "a report under an absolute path": _tar_edit(lambda members, name, random: _moved(members, name, "/etc/")),
        "a member that is a link outside": lambda content, random: _tar(_untar(content), link="../../../../etc/passwd"),
    }


def _moved(members: Members, name: str, folder: str) -> None:
    members[folder + name.rpartition("/")[2]] = members.pop(name)


def _untar(content: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def _tar(
    members: Mapping[str, bytes], *, zeros: int = 0, twice: str = "", link: str = "", kinds: Mapping[str, bytes] = {}
) -> bytes:
    """An archive; ``zeros``: a member of so many in front; ``kinds``: members that are no files."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        if zeros:
            member = tarfile.TarInfo("ecgen-radiology/zeros.bin")
            member.size = zeros
            with Path("/dev/zero").open("rb") as source:
                tar.addfile(member, source)
        if link:
            member = tarfile.TarInfo("ecgen-radiology/link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
        for name, content in [*members.items(), *([(twice, members[twice])] if twice else [])]:
            member = tarfile.TarInfo(name)
            if name in kinds:
                member.type, member.linkname = kinds[name], "/etc/passwd"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _tar_edit(edit: Edit) -> Change:
    def change(content: bytes, random: Random) -> bytes:
        members = _untar(content)
        edit(members, random.choice(list(members)), random)
        return _tar(members)

    return change


def _tar_kind(kind: bytes) -> Change:
    def change(content: bytes, random: Random) -> bytes:
        members = _untar(content)
        return _tar(members, kinds={random.choice(list(members)): kind})

    return change


def _negative(content: bytes, random: Random) -> bytes:
    """The size of the first member in base 256, below zero; the header's own sum is right."""
    header = bytearray(gzip.decompress(content))
    header[124:136] = b"\xff" * 11 + b"\0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return gzip.compress(bytes(header))


# Zip.


def zip_changes() -> dict[str, Change]:
    """What can happen to MIMIC-CXR's zip of reports."""
    found = dict(PACKED)
    found["inside: no report"] = lambda content, random: _zip({"readme.txt": b"moved"})
    for name, edit in MEMBER.items():
        found[name] = _zip_edit(edit)
    found["a report under a path upward"] = _zip_edit(_renamed("../../../{0}"))
    found["a report under an absolute path"] = _zip_edit(_renamed("/{0}"))
    found["a report that unpacks to 64 MB"] = _zip_edit(_member(lambda content, random: b" " * (1 << 26)))
    found["encrypted"] = lambda content, random: _flagged(content, 6, 8, 1)
    found["packed by an unknown method"] = lambda content, random: _flagged(content, 8, 10, 77)
    found["sizes that are not true"] = _wrong_sizes
    return found


def _zip(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _zip_edit(edit: Edit) -> Change:
    def change(content: bytes, random: Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = {name: packed.read(name) for name in packed.namelist()}
        edit(members, random.choice(list(members)), random)
        return _zip(members)

    return change


def _flagged(content: bytes, local: int, central: int, value: int) -> bytes:
    """A field of two bytes in every header: at ``local`` behind a member's own, at ``central`` behind the directory's."""
    changed = bytearray(content)
    for mark, place in ((b"PK\3\4", local), (b"PK\1\2", central)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + place : at + place + 2] = value.to_bytes(2, "little")
            at = changed.find(mark, at + 4)
    return bytes(changed)


def _wrong_sizes(content: bytes, random: Random) -> bytes:
    """The directory says that every member is 4 GB."""
    changed = bytearray(content)
    at = changed.find(b"PK\1\2")
    while at >= 0:
        changed[at + 20 : at + 28] = b"\xfe\xff\xff\xff" * 2
        at = changed.find(b"PK\1\2", at + 4)
    return bytes(changed)


# Texts of reports, and Parquet.


def report_changes() -> dict[str, Change]:
    """What can happen to a report in a file of its own. Where it ends nobody can know: one that is cut is not seen."""
    return {
        **ANY,
        "blanks alone": blank,
        "of 2 MB": lambda content, random: content + b" " * (1 << 21),
    }


def harmless_reports() -> dict[str, Change]:
    """A report that is whole, and has no section that is asked for."""
    return {"without findings": lambda content, random: b" FINAL REPORT\n INDICATION: Cough.\n \n IMPRESSION: No change.\n"}


def parquet_changes(file: File) -> dict[str, Change]:
    """What can happen to a Parquet file."""
    found = dict(PACKED)
    found["its mark alone"] = lambda content, random: b"PAR1PAR1"
    found["a footer of 2 GB"] = lambda content, random: content[:-8] + b"\xff\xff\xff\x7fPAR1"
    found["a wrong byte in a page"] = _wrong_page(file)
    found["CSV under its name"] = lambda content, random: b"study_id,report\n1,clear\n"
    found["no row"] = _parquet(lambda rows, row: rows.clear())
    found["a column gone"] = _parquet(lambda rows, row: [one.pop(file.column) for one in rows])
    found["a row twice"] = _parquet(lambda rows, row: rows.append(row))
    found["a huge field"] = _parquet(lambda rows, row: row.update({file.column: "word " * HUGE}))
    values: dict[str, Any] = {"numbers": 3.5, "lists": [["deep"]], "objects": {"a": 1}, "bytes": b"\xff\xfe", "null": None}
    for name, value in values.items():
        found[f"{file.column}: {name}"] = _parquet(
            lambda rows, row, value=value: [one.update({file.column: value}) for one in rows]
        )
        found[f"{file.many}: {name}"] = _parquet(lambda rows, row, value=value: [one.update({file.many: value}) for one in rows])
    for name, path in (("upward", "../../etc/passwd"), ("absolute", "/etc/passwd"), ("backslashes", "..\\passwd.png")):
        found[f"a path {name}"] = _parquet(lambda rows, row, path=path: row.update({file.path: [path]}))
    return found


def _wrong_page(file: File) -> Change:
    """A bit of the last page of a column that is read: a letter of another, or a row with another's cell."""

    def change(content: bytes, random: Random) -> bytes:
        from pyarrow import parquet

        group = parquet.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
        column = next(found for place in range(group.num_columns) if (found := group.column(place)).path_in_schema == file.column)
        at = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return change


def _parquet(edit: Callable[[list[dict[str, Any]], dict[str, Any]], object]) -> Change:
    def change(content: bytes, random: Random) -> bytes:
        import pyarrow
        from pyarrow import parquet

        table = parquet.read_table(io.BytesIO(content))
        rows = table.to_pylist()
        edit(rows, random.choice(rows))
        out = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=None if rows else table.schema), out)
        return out.getvalue()

    return change
