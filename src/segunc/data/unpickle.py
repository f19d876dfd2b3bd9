"""Pickles as data: plain values and arrays of numbers, read without executing anything that a pickle may call.

A pickle is a program for a small machine with a stack (https://docs.python.org/3/library/pickletools.html). The machine
here knows the operations for plain values and containers and imports nothing: the names with which numpy writes arrays
are mapped to the few functions below, and any other name is an error. It does not create arrays either, but notes where
in the file their bytes lie. So a file of any size takes little memory, and only the arrays that are used are read.
"""

import math
import os
import pickle
import re
import struct
from collections.abc import Callable
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.data.archive import LARGEST_MEMBER
from segunc.runtime.errors import UserError

MOST_STEPS = 10_000_000
"""Operations of the longest pickle that is read; Knegt's crops take 130 each. A step creates at most one value, so this
also bounds the memory that a small file can claim."""
LONGEST_TEXT = 4096
"""Bytes of the longest text that is read at once; anything longer is the content of an array."""
LINE = 2**20
NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")
"""Types of the arrays that are read: no Python objects, texts, dates or records."""


class Content(NamedTuple):
    """Bytes that stay in the file."""

    start: int
    size: int
    encoding: str | None
    """Of a text with one character per byte (latin-1 code points), as old protocols write bytes; None: plain bytes."""


class StoredArray:
    """An array that stays in the file, until `array` reads it."""

    type = np.dtype(np.uint8)
    shape: tuple[int, ...] = (0,)
    order: Literal["C", "F"] = "C"
    content: bytes | Content = b""


class _Type:
    """An array's type; its byte order comes later."""

    def __init__(self, name: str, align: bool, copy: bool) -> None:
        self.name = _text(name)
        self.order = ""


class _Name(NamedTuple):
    """What the pickle names, as `module.name`; never imported."""

    text: str


def load(file: IO[bytes], what: str) -> Any:
    """The value that the pickle in `file` describes, with a `StoredArray` in place of each array.

    Keys of dictionaries are texts, each once. `what` is the file's name in messages. Raises UserError if the pickle
    is damaged, too long, followed by something else, or contains anything but plain values, lists, tuples, dictionaries
    and arrays of numbers.
    """
    try:
        value = _Machine(file, what).run()
    except (LookupError, ValueError, TypeError, ArithmeticError, struct.error) as error:
        # From operations that no pickler writes.
        raise UserError(
            f"{what} is cut off or damaged at byte {file.tell()} ({type(error).__name__}); fetch it again."
        ) from None
    if file.read(1):
        raise UserError(
            f"{what} has data after its end at byte {file.tell() - 1}, as if several were joined; fetch it again."
        )
    return value


def array(file: IO[bytes], stored: StoredArray) -> NDArray:
    """The array that `stored` stands for, read from the file that it was loaded from; not writeable.

    Raises ValueError if its bytes do not fit its shape, or if it is too large.
    """
    size = math.prod(stored.shape) * stored.type.itemsize
    if size > LARGEST_MEMBER:
        raise ValueError(f"it is {size / 2**20:.0f} MiB, but at most {LARGEST_MEMBER // 2**20} are read")
    content = stored.content
    if isinstance(content, Content):
        longest = size if content.encoding is None else 6 * size  # a byte as text is 6 bytes at most: \u0000
        file.seek(content.start)
        content = _decoded(file.read(min(content.size, longest + 1)), content.encoding)
    return np.frombuffer(content, stored.type).reshape(stored.shape, order=stored.order)


def _decoded(content: bytes, encoding: str | None) -> bytes:
    return content if encoding is None else content.decode(encoding).encode("latin-1")


class _Machine:
    def __init__(self, file: IO[bytes], what: str) -> None:
        self.file, self.what = file, what
        self.end = file.seek(0, os.SEEK_END)
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        """The stacks below each mark."""
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        self.file.seek(0)
        for _ in range(MOST_STEPS):
            code = self.take(1)
            if code == pickle.STOP:
                if len(self.stack) != 1 or self.marked:
                    raise ValueError("ends in the middle")
                return self.stack[0]
            if code not in OPERATIONS:
                raise UserError(
                    f"{self.what} is not a pickle of plain values and arrays (operation {code!r} at byte "
                    f"{self.file.tell() - 1}); give the pickle itself, unpacked if it came in an archive."
                )
            OPERATIONS[code](self)
        raise UserError(f"{self.what} has more than {MOST_STEPS} operations, too many for image crops; fetch it again.")

    def take(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise ValueError("cut off")
        return data

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> bytes:
        line = self.file.readline(LONGEST_TEXT)
        if not line.endswith(b"\n"):
            raise ValueError("cut off")
        return line[:-1]

    def items(self) -> list[Any]:
        """What lies above the last mark, taken from the stack."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def name(self, module: str, name: str) -> None:
        text = f"{module}.{name}"
        if text not in MAKERS:
            shown = text if len(text) < 100 and text.isprintable() else ascii(text[:100])
            raise UserError(
                f"{self.what} imports {shown}, which a pickle of plain values and arrays never needs; "
                "do not trust this file."
            )
        self.stack.append(_Name(text))

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(_text(module), _text(name))

    def make(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise TypeError("not a function and its arguments")
        made = MAKERS[name.text](*arguments)
        if isinstance(made, _Type) and not NUMBERS.fullmatch(made.name):
            raise UserError(f"{self.what} has an array of {made.name[:80]!a}, but only numbers are read; remove it.")
        self.stack.append(made)

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Type):
            if state[1] not in ("<", ">", "|", "="):
                raise ValueError("not a byte order")
            target.order = state[1]
        elif isinstance(target, StoredArray):
            _version, shape, type_, fortran, content = state
            _filled(target, content, type_, shape, "F" if fortran else "C")
        else:
            raise TypeError("not an array")

    def counted(self, width: int, encoding: str | None = None) -> None:
        """A text, or bytes if it has no encoding, after its size in `width` bytes."""
        size, start = self.number(width), self.file.tell()
        if size <= LONGEST_TEXT:
            data = self.take(size)
            self.stack.append(data if encoding is None else data.decode(encoding))
        elif start + size > self.end:
            raise ValueError("cut off")
        else:
            self.file.seek(start + size)
            # Python 2's are bytes
            self.stack.append(Content(start, size, None if encoding == "latin-1" else encoding))

    def escaped(self) -> None:
        """A text that ends with the line."""
        start = self.file.tell()
        while not (piece := self.file.readline(LINE)).endswith(b"\n"):
            if not piece:
                raise ValueError("cut off")
        size = self.file.tell() - 1 - start
        content = Content(start, size, "raw-unicode-escape")
        self.stack.append(piece[:-1].decode("raw-unicode-escape") if size <= LONGEST_TEXT else content)

    def append(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError("not a list")
        self.stack[-1].extend(values)

    def set(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise TypeError("not a dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if _text(key) in target:
                raise UserError(f"{self.what} has the key {key[:80]!a} twice in a dictionary; fetch it again.")
            target[key] = value

    def put(self, index: int) -> None:
        if not 0 <= index < 2**32:  # as in binary operations; others could be chosen to collide in one hash bucket
            raise ValueError("not an index")
        self.memo[index] = self.stack[-1]


def _push(read: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def operation(machine: _Machine) -> None:
        value = read(machine)  # before the stack is looked up, because reading may remove a mark
        machine.stack.append(value)

    return operation


def _last(machine: _Machine, count: int) -> list[Any]:
    return [machine.stack.pop() for _ in range(count)][::-1]


def _dictionary(machine: _Machine) -> None:
    pairs = machine.items()
    machine.stack.append({})
    machine.set(pairs)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


OPERATIONS: dict[bytes, Callable[[_Machine], object]] = {
    pickle.PROTO: lambda m: m.take(1),
    pickle.FRAME: lambda m: m.take(8),
    pickle.MARK: _Machine.mark,
    # Plain values
    pickle.NONE: _push(lambda m: None),
    pickle.NEWTRUE: _push(lambda m: True),
    pickle.NEWFALSE: _push(lambda m: False),
    pickle.INT: _push(lambda m: int(m.line())),
    pickle.BININT: _push(lambda m: int.from_bytes(m.take(4), "little", signed=True)),
    pickle.BININT1: _push(lambda m: m.number(1)),
    pickle.BININT2: _push(lambda m: m.number(2)),
    pickle.LONG: _push(lambda m: int(m.line().removesuffix(b"L"))),
    pickle.LONG1: _push(lambda m: int.from_bytes(m.take(m.number(1)), "little", signed=True)),
    pickle.FLOAT: _push(lambda m: float(m.line())),
    pickle.BINFLOAT: _push(lambda m: struct.unpack(">d", m.take(8))[0]),
    # Texts and bytes, which Python 2 did not distinguish
    pickle.UNICODE: _Machine.escaped,
    pickle.SHORT_BINUNICODE: lambda m: m.counted(1, "utf-8"),
    pickle.BINUNICODE: lambda m: m.counted(4, "utf-8"),
    pickle.BINUNICODE8: lambda m: m.counted(8, "utf-8"),
    pickle.SHORT_BINSTRING: lambda m: m.counted(1, "latin-1"),
    pickle.BINSTRING: lambda m: m.counted(4, "latin-1"),
    pickle.SHORT_BINBYTES: lambda m: m.counted(1),
    pickle.BINBYTES: lambda m: m.counted(4),
    pickle.BINBYTES8: lambda m: m.counted(8),
    pickle.BYTEARRAY8: lambda m: m.counted(8),
    # Containers
    pickle.EMPTY_TUPLE: _push(lambda m: ()),
    pickle.TUPLE1: _push(lambda m: tuple(_last(m, 1))),
    pickle.TUPLE2: _push(lambda m: tuple(_last(m, 2))),
    pickle.TUPLE3: _push(lambda m: tuple(_last(m, 3))),
    pickle.TUPLE: _push(lambda m: tuple(m.items())),
    pickle.EMPTY_LIST: _push(lambda m: []),
    pickle.LIST: _push(lambda m: m.items()),
    pickle.APPEND: lambda m: m.append(_last(m, 1)),
    pickle.APPENDS: lambda m: m.append(m.items()),
    pickle.EMPTY_DICT: _push(lambda m: {}),
    pickle.DICT: _dictionary,
    pickle.SETITEM: lambda m: m.set(_last(m, 2)),
    pickle.SETITEMS: lambda m: m.set(m.items()),
    # Values that are used again
    pickle.PUT: lambda m: m.put(int(m.line())),
    pickle.BINPUT: lambda m: m.put(m.number(1)),
    pickle.LONG_BINPUT: lambda m: m.put(m.number(4)),
    pickle.MEMOIZE: lambda m: m.put(len(m.memo)),
    pickle.GET: _push(lambda m: m.memo[int(m.line())]),
    pickle.BINGET: _push(lambda m: m.memo[m.number(1)]),
    pickle.LONG_BINGET: _push(lambda m: m.memo[m.number(4)]),
    # Arrays, and anything else that has a name
    pickle.GLOBAL: lambda m: m.name(m.line().decode(), m.line().decode()),
    pickle.INST: lambda m: m.name(m.line().decode(), m.line().decode()),
    pickle.STACK_GLOBAL: _Machine.stack_name,
    pickle.REDUCE: _Machine.make,
    pickle.BUILD: _Machine.build,
}


def _encoded(text: Any, encoding: str) -> bytes | Content:
    """Bytes as Python 3 writes them in protocols 0 to 2: as text with one character per byte."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("another encoding")
    return text if isinstance(text, Content) else text.encode("latin-1")


def _filled(stored: StoredArray, content: Any, type_: Any, shape: Any, order: Any) -> StoredArray:
    if isinstance(content, str):  # by Python 2
        content = content.encode("latin-1")
    if not isinstance(content, bytes | Content) or not isinstance(type_, _Type) or order not in ("C", "F"):
        raise TypeError("not an array")
    if not isinstance(shape, tuple) or len(shape) > 4 or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
        raise ValueError("not a shape")
    stored.type = np.dtype(type_.order + type_.name)
    stored.shape, stored.order, stored.content = shape, order, content
    return stored


def _frombuffer(content: Any, type_: Any, shape: Any, order: Any) -> StoredArray:
    return _filled(StoredArray(), content, type_, shape, order)


def _reconstruct(kind: Any, shape: Any, code: Any) -> StoredArray:
    """An empty array, to be filled by what follows."""
    if kind != _Name("numpy.ndarray"):
        raise TypeError("not an array")
    return StoredArray()


def _scalar(type_: Any, content: Any) -> Any:
    stored = _filled(StoredArray(), content, type_, (1,), "C")
    if not isinstance(stored.content, bytes):
        raise ValueError("too large a number")
    return np.frombuffer(stored.content, stored.type).item()


def _never(*arguments: Any) -> None:
    raise TypeError("an array is built in another way")


def _no_bytes() -> bytes:
    return b""


MAKERS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,
    "numpy.dtype": _Type,
    "numpy.ndarray": _never,
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _frombuffer for core in ("core", "_core")},
}
"""Functions for the names that numpy pickles with; its modules were renamed in numpy 2."""
