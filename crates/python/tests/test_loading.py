"""The module can be loaded whatever else is loaded."""

import struct
import sys

import pytest

from kfcpo import _kfcpo

DYNAMIC, FLAGS, STATIC_TLS = 2, 30, 0x10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a library of Linux")
def test_the_module_does_not_ask_for_the_room_that_loaded_modules_share():
    """glibc keeps some 1,700 bytes for variables of threads that a library wants at a fixed place; past them loading fails."""
    with open(_kfcpo.__file__, "rb") as file:
        library = file.read()
    (first,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    headers = [struct.unpack_from("<IIQQQQ", library, first + k * size) for k in range(count)]
    ((_, _, start, _, _, length),) = [header for header in headers if header[0] == DYNAMIC]
    entries = dict(struct.iter_unpack("<qQ", library[start : start + length]))
    assert not entries.get(FLAGS, 0) & STATIC_TLS
