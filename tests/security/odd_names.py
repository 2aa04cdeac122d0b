"""Names that a server might take for something else: for paths, for each other, or for the wire's own signs."""

from __future__ import annotations

from urllib.parse import quote

NFC, NFD = "caf\u00e9", "cafe\u0301"

# Each is a key of its own, and stored as it is.
KEYS = (
    # Paths: up, here, absolute, doubled, of another system.
    "..", ".", "../", "./", "../../../../etc/passwd", "a/../b", "a/./b", "a/b", "b", "a//b", "//a", "/a", "a/", "a//",
    "/", "//", "/..", "/../etc/passwd", "a/..", "../metadata.db", "../objects/blobs", "...", "....//", "a\\b", "..\\..\\b",
    "\\", "C:\\b", "C:/b", "file:///etc/passwd", "~", "~root/x", "$HOME", "`id`", "$(id)", "|id", ";id", "*", "?", "[a-z]",
    # Escapes that were decoded already.
    "%2e%2e/x", "%2e%2e%2fx", "..%2fx", "%252e%252e%252fx", "%2F", "%2f", "%00", "%", "%zz", "%u002e", "a%20b", "a+b", "a b",
    # The query's and the header's signs.
    "a?b", "a#b", "a&b", "a=b", "a;b", "a?versionId=null", "a,b", "a:b", "a@b", '"', "'", "<", ">", "a\tb", "!", "?acl", "?uploads",
    # Control characters, line ends, invisible ones.
    "\0", "a\0b", "a\0", "\r", "\n", "\r\n", "a\r\nX-Injected: b", "\x01", "\x1b[2J", "\x7f", "\x85", " ", "  ", " a", "a ",
    "a.", ".a", "\u00a0", "\u200b", "\u200d", "\u2028", "\ufeff", "\ufeffa", "\u202etxt.exe", "\u0001f600",
    # Two that look alike or fold to one.
    NFC, NFD, "A", "a", "\u00e5", "A\u030a", "\u212b", "K", "k", "\u212a", "\u00df", "ss", "\u017f", "s", "\ufb01", "fi",
    "\u0130", "i", "\u0131", "I", "\u03c3", "\u03c2", "\uff0e\uff0e\uff0f", "\u2024\u2024/", "\u2215", "\uff0fa",
    # The ends of what UTF-8 can say.
    "\ufffd", "\uffff", "\ufffe", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\U0001f600", "\U0001f468\u200d\U0001f469",
    "k" * 1_024, "\u20ac" * 341 + "k", "\U0001f600" * 256, "/" * 1_024, "../" * 341,
    # Names that mean something to a system, or to this server.
    "con", "nul", "aux.txt", "com1", ".htaccess", ".git/config", "lock", "tmp", "tmp/lock", "blobs", "metadata.db",
    "metadata.db-wal", ".lock", "x.tmp", "health", "metrics", ".bleepstore/docs", "null", "None", "undefined",
    "'; DROP TABLE versions; --", '" OR 1=1 --', "a%' ESCAPE '", "_", "__proto__", "{{7*7}}", "${jndi:ldap://x}", "\\u0000",
)  # fmt: skip

# Escapes of a request target that name nothing, however they are read.
NO_NAMES = (
    "%FF", "a%FFb", "%C3%28", "%C0%AE%C0%AE", "%C0%AF", "%E0%80%AF", "%ED%A0%80", "%ED%BF%BF", "%F4%90%80%80", "%F8%88%80%80%80",
    "%", "%2", "%zz", "%%32%65", "a%", "%u002e", "%C3", "%E2%82", "%80", "%FE%FF",
)  # fmt: skip


def escaped(key: str) -> str:
    """Every byte of the key but those that never need it and the slash."""
    return quote(key, safe="/~")


def escaped_whole(key: str) -> str:
    """Every byte of the key."""
    return "".join(f"%{octet:02x}" for octet in key.encode())
