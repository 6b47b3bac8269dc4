"""Asks the libpq of this machine what it makes of connection strings.

    helper.py LIBRARY parse|connect

Requests come on standard input and answers go to standard output, in order. All numbers
are unsigned, 32 bits, little-endian; a string is its length and its bytes.

First answer: the version of libpq, the number of its options, and for each its name and
environment variable (or nothing).

parse:   a request is a string, given to PQconninfoParse.
connect: a request is a number of variables, for each its name and value, and a string,
         given to PQconnectdb in that environment.
An answer is 1 or 0 for success, the message, and the number of options that have a value,
for each its name and value; for connect also the password for the last host. A connection
counts as a success if libpq got as far as to try it.

Exit status 77: there is no such library.
"""

import ctypes
import os
import struct
import sys


class Option(ctypes.Structure):
    _fields_ = [
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_void_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    ]


def load(name):
    try:
        library = ctypes.CDLL(name)
    except OSError:
        sys.exit(77)
    for function, result, arguments in [
        ("PQlibVersion", ctypes.c_int, []),
        ("PQconndefaults", ctypes.c_void_p, []),
        ("PQconninfoParse", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_void_p]),
        ("PQconninfo", ctypes.c_void_p, [ctypes.c_void_p]),
        ("PQconninfoFree", None, [ctypes.c_void_p]),
        ("PQfreemem", None, [ctypes.c_void_p]),
        ("PQconnectdb", ctypes.c_void_p, [ctypes.c_char_p]),
        ("PQerrorMessage", ctypes.c_char_p, [ctypes.c_void_p]),
        ("PQstatus", ctypes.c_int, [ctypes.c_void_p]),
        ("PQpass", ctypes.c_char_p, [ctypes.c_void_p]),
        ("PQfinish", None, [ctypes.c_void_p]),
    ]:
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


def number(value):
    return struct.pack("<I", value)


def string(value):
    return number(len(value)) + value


def read_exactly(count):
    data = sys.stdin.buffer.read(count)
    if len(data) != count:
        sys.exit(0 if not data else "a request is cut short")
    return data


def read_number():
    return struct.unpack("<I", read_exactly(4))[0]


def read_string():
    return read_exactly(read_number())


def keywords(library):
    pointer = library.PQconndefaults()
    found = []
    while True:
        option = Option.from_address(pointer + len(found) * ctypes.sizeof(Option))
        if option.keyword is None:
            library.PQconninfoFree(pointer)
            return found
        found.append((option.keyword, option.envvar or b""))


class Values:
    """Reads an array of options at once: a structure for each would take a minute."""

    def __init__(self, library, names):
        self.library = library
        self.names = names
        self.format = struct.Struct("@" + "24xP20x4x" * len(names))
        assert self.format.size == ctypes.sizeof(Option) * len(names)

    def of(self, pointer):
        values = self.format.unpack(ctypes.string_at(pointer, self.format.size))
        found = [
            string(name) + string(ctypes.string_at(value))
            for name, value in zip(self.names, values)
            if value
        ]
        self.library.PQconninfoFree(pointer)
        return number(len(found)) + b"".join(found)


def parse(library, values, text):
    message = ctypes.c_void_p()
    pointer = library.PQconninfoParse(text, ctypes.byref(message))
    if pointer:
        return number(1) + string(b"") + values.of(pointer)
    said = ctypes.string_at(message.value) if message.value else b""
    library.PQfreemem(message)
    return number(0) + string(said) + number(0)


def connect(library, values, variables, text):
    before = dict(os.environb)
    os.environb.clear()
    os.environb.update(variables)
    connection = library.PQconnectdb(text)
    message = library.PQerrorMessage(connection) or b""
    tried = library.PQstatus(connection) == 0 or (
        message.startswith(b"connection to server ") and b"invalid " not in message
    )
    options = values.of(library.PQconninfo(connection)) if tried else number(0)
    password = library.PQpass(connection) or b""
    answer = number(int(tried)) + string(message) + options + string(password)
    library.PQfinish(connection)
    os.environb.clear()
    os.environb.update(before)
    return answer


def main():
    library = load(sys.argv[1])
    names = keywords(library)
    values = Values(library, [name for name, _ in names])
    out = sys.stdout.buffer
    out.write(number(library.PQlibVersion()) + number(len(names)))
    for name, variable in names:
        out.write(string(name) + string(variable))
    # libpq's warnings about password files go to standard error.
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        if sys.argv[2] == "parse":
            out.write(parse(library, values, read_string()))
        else:
            variables = {}
            for _ in range(read_number()):
                name = read_string()
                variables[name] = read_string()
            out.write(connect(library, values, variables, read_string()))


main()
