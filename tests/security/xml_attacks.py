"""S-03: documents made to hurt a parser, and the operations that read a document at all."""

from __future__ import annotations

from collections.abc import Callable

# Operation -> the root of the document it reads.
ROOTS = {
    "CreateBucket": "CreateBucketConfiguration",
    "PutBucketAcl": "AccessControlPolicy",
    "PutObjectAcl": "AccessControlPolicy",
    "PutBucketTagging": "Tagging",
    "PutObjectTagging": "Tagging",
    "PutBucketVersioning": "VersioningConfiguration",
    "PutBucketOwnershipControls": "OwnershipControls",
    "DeleteObjects": "Delete",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}
# What takes a body or none, and never a document of XML. A new operation has to be put in one of the two.
READ_NO_DOCUMENT = frozenset(
    {
        "PutObject",
        "CopyObject",
        "UploadPart",
        "UploadPartCopy",
        "CreateMultipartUpload",
        "PostObject",
        "PutBucketPolicy",
    }
)

_LAUGHS = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

Attack = Callable[[str, str, str], bytes]


def _text(template: str) -> Attack:
    """`{root}` is the document's root, `{file}` and `{url}` are watched: whoever opens them is caught."""

    def attack(root: str, file: str, url: str) -> bytes:
        return template.format(root=root, file=file, url=url).encode()

    return attack


def _encoded(encoding: str, declared: str) -> Attack:
    def attack(root: str, file: str, url: str) -> bytes:
        text = f'<?xml version="1.0" encoding="{declared}"?><!DOCTYPE x SYSTEM "{url}"><{root}/>'
        return text.encode(encoding)

    return attack


def _many(attribute: str, count: int) -> bytes:
    return f"<x {' '.join(attribute.format(number) for number in range(count))}/>".encode()


ATTACKS: dict[str, Attack] = {
    "an external file": _text('<!DOCTYPE x [<!ENTITY e SYSTEM "file://{file}">]><{root}><Key>&e;</Key></{root}>'),
    "an external address": _text('<!DOCTYPE x [<!ENTITY e SYSTEM "{url}">]><{root}><Key>&e;</Key></{root}>'),
    "a parameter entity": _text('<!DOCTYPE x [<!ENTITY % p SYSTEM "{url}"> %p;]><{root}/>'),
    "an external subset": _text('<!DOCTYPE x SYSTEM "{url}"><{root}/>'),
    "a public subset": _text('<!DOCTYPE x PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "{url}"><{root}/>'),
    "an empty DTD": _text("<!DOCTYPE x><{root}/>"),
    "a DTD with a default": _text('<!DOCTYPE x [<!ATTLIST Key a CDATA "b">]><{root}/>'),
    "a billion laughs": _text(f'<!DOCTYPE x [<!ENTITY a "ha">{_LAUGHS}]><{{root}}><Key>&j;</Key></{{root}}>'),
    "one long entity often": lambda root, file, url: (
        f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]><{root}>{"&a;" * 50_000}</{root}>'.encode()
    ),
    "an entity nobody declared": _text("<{root}><Key>&e;</Key></{root}>"),
    "XInclude": _text(
        '<{root} xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{file}" parse="text"/>'
        '<Key><xi:include href="{url}"/></Key><Oops></{root}>'
    ),
    "XInclude as the root": _text('<include xmlns="http://www.w3.org/2001/XInclude" href="file://{file}"/>'),
    "a style sheet": _text('<?xml-stylesheet href="{url}"?><x/>'),
    "a schema elsewhere": _text(
        '<x xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{url} {url}"/>'
    ),
    "a million levels": lambda root, file, url: f"<{root}>".encode() + b"<a>" * 1_000_000,
    "levels that are closed": lambda root, file, url: (
        f"<{root}>".encode() + b"<a>" * 30_000 + b"</a>" * 30_000 + f"</{root}>".encode()
    ),
    "many elements": lambda root, file, url: f"<{root}>{'<a/>' * 62_000}</{root}>".encode(),
    "many attributes": lambda root, file, url: _many("a{0}=''", 20_000),
    "many namespaces": lambda root, file, url: _many("xmlns:a{0}='u{0}'", 8_000),
    "a long name": lambda root, file, url: f"<{'a' * 250_000}/>".encode(),
    "a long text": lambda root, file, url: f"<{root}><Key>{'k' * 250_000}</Key></{root}>".encode(),
    "a long CDATA section": lambda root, file, url: f"<{root}><Key><![CDATA[{'k' * 250_000}]]></Key></{root}>".encode(),
    "a comment without end": lambda root, file, url: f"<{root}><!--{'-x' * 100_000}".encode(),
    "UTF-16": _encoded("utf-16", "UTF-16"),
    "UTF-16 without a mark": _encoded("utf-16-le", "UTF-16LE"),
    "UTF-32": _encoded("utf-32", "UTF-32"),
    "UTF-7": _encoded("utf-7", "UTF-7"),
    "UTF-8 that says UTF-16": _encoded("utf-8", "UTF-16"),
    "EBCDIC": _encoded("cp037", "cp037"),
    "Shift JIS": _encoded("shift-jis", "Shift_JIS"),
    "no UTF-8": lambda root, file, url: f"<{root}><Key>".encode() + b"\xff\xfe\xc0\xaf" + f"</Key></{root}>".encode(),
    "a NUL": lambda root, file, url: f"<{root}><Key>a\0b</Key></{root}>".encode(),
    "forbidden characters": _text("<{root}><Key>&#1;&#0;&#xFFFF;</Key></{root}>"),
    "two roots": _text("<{root}/><{root}/>"),
    "another root": _text("<Other/>"),
    "no XML": lambda root, file, url: b"{}",
    "nothing closed": _text("<{root}><Object><Key>there</Key>"),
}  # fmt: skip
