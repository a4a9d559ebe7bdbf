"""Bodies for ``POST /add_batch/``: batches in odd clothes, their pieces in wrong places, and what is no text at all."""

from __future__ import annotations

import json
from typing import Final

from hypothesis import strategies as st

from tests.support.bodies import FINE, NOT_A_BATCH, NOT_JSON

MAX_BATCH: Final = 20
MAX_BODY: Final = 4096

SYMBOLS: Final = st.sampled_from(["A", "B", "EUR/USD", "日経225", "x" * 64]) | st.text(max_size=70)

SPACE: Final = st.sampled_from(["", "", "", " ", "\n", "\t\r\n ", "\x0b", "\u00a0", "//\n"])

LITERALS: Final = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=16).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-9, 9).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        [
            "-0",
            "-0.0",
            "-0e5",
            "0e999",
            "1e-400",
            "5e-324",
            "2.4703282292062328e-324",
            "9007199254740993",
            "1e100",
            "1.0000000000000001e100",
            "1.0000000000000002e100",
            "-1e101",
            "1e308",
            "1.7976931348623159e308",
            "1e99999999999",
            "1e-99999999999",
            "0.000000000000000000000000000000001e34",
            "123456789012345678901e-20",
        ]
    ),
    st.sampled_from(["NaN", "-Infinity", "+1", "01", ".5", "1.", "1e", "0x1", "1_0", "-", "--1", "1e+", "１"]),
    st.sampled_from(["null", "true", '"1.0"', "{}", "[]", "[1]", "[1, 2]", '{"values": [1]}', '"\\ud800"', "nul"]),
)

ANYTHING: Final = st.recursive(
    LITERALS | st.text(max_size=5).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(["symbol", "values", "x"]), inner), max_size=3).map(
            lambda members: "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"
        )
    ),
    max_leaves=6,
)


@st.composite
def escaped(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """A text as a JSON string, some of its characters as escapes that need not be; now and then a wrong escape."""
    pieces = []
    for character in draw(texts):
        how = draw(st.integers(0, 9))
        if how == 0 or (how < 9 and character in '"\\') or ord(character) < 32:
            units = character.encode("utf-16-be", "surrogatepass")
            pieces += [f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
        else:
            pieces.append(character)
    return '"' + "".join(pieces) + draw(st.sampled_from(["", "", "", "", "", "", "\\x", "\\ud800", "\x01"])) + '"'


@st.composite
def dressed(draw: st.DrawFn) -> bytes:
    """A batch with odd numbers, white space, escapes, members in any order, some twice, some of other types."""
    plain = draw(st.booleans())  # half of them have nothing in them that must be refused
    numbers = st.floats(-1e100, 1e100).map(repr) | st.integers(-(2**70), 2**70).map(str) if plain else LITERALS
    values = st.lists(numbers, min_size=1, max_size=MAX_BATCH + (0 if plain else 2))
    members = [
        ('"symbol"', json.dumps(draw(st.sampled_from("ABC"))) if plain else draw(escaped(SYMBOLS))),
        ('"values"', "[" + f"{draw(SPACE) if not plain else ' '},".join(draw(values)) + "]"),
    ]
    if not plain:
        names = st.sampled_from(['"symbol"', '"values"', '"s\\u0079mbol"', '"note"', '"Symbol"', "symbol"])
        members += draw(st.lists(st.tuples(names, ANYTHING), max_size=2))
        if draw(st.integers(0, 5)) == 0:
            del members[draw(st.integers(0, len(members) - 1))]
    elif draw(st.booleans()):
        members.append(('"note"', '{"symbol": [1, "values"]}'))
    space = st.sampled_from(["", " ", "\r\n\t"]) if plain else SPACE
    text = ",".join(
        f"{draw(space)}{name}{draw(space)}:{draw(space)}{value}" for name, value in draw(st.permutations(members))
    )
    return f"{draw(space)}{{{text}{draw(space)}}}{draw(space)}".encode("utf-8", "surrogatepass")


KNOWN: Final = [
    *NOT_JSON.values(),
    *(body for body, _ in NOT_A_BATCH.values()),
    *(body for body, _, _ in FINE.values()),
]

SHORT: Final = st.sampled_from([body for body in KNOWN if len(body) < MAX_BODY])

VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["symbol", "values", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)

WRITTEN: Final = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.text(max_size=6) | VALUES,
        "values": st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70), max_size=6)
        | VALUES,
        "note": VALUES,
    },
).map(lambda document: json.dumps(document).encode("utf-8", "surrogatepass"))
"""What json writes, NaN, infinities and lone surrogates included."""

DEEP: Final = st.builds(
    lambda bracket, depth, closed: (
        b'{"symbol":"A","values":[1],"x":' + bracket * depth + b"]" * (depth if closed else 0) + b"}"
    ),
    st.sampled_from([b"[", b'{"x":', b"[1,"]),
    st.sampled_from([1, 2, 50, 1500, 3000]),
    st.booleans(),
)


@st.composite
def mutated(draw: st.DrawFn, whole: st.SearchStrategy[bytes], alphabet: bytes) -> bytes:
    """Bytes with a few places overwritten, cut out, doubled, or replaced by a part of others."""
    data = draw(whole)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.sampled_from([0, 0, 1, 1, 2, 7, 40])))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            middle = b""
        elif kind == 1:
            middle = data[begin:end] * 2
        elif kind == 2:
            other = draw(whole)
            at = draw(st.integers(0, len(other)))
            middle = other[at : at + 40]
        else:
            size = draw(st.integers(1, 3))
            middle = bytes(draw(st.lists(st.sampled_from(alphabet), min_size=size, max_size=size)))
        data = data[:begin] + middle + data[end:]
    return data


BODIES: Final = st.one_of(
    dressed(),
    dressed(),
    SHORT,
    WRITTEN,
    st.text(alphabet='{}[]",:symbolvaues0123456789.-+eE \\u\n', max_size=60).map(str.encode),
    mutated(dressed() | SHORT, b'{}[]",:\\ 0123456789.-+eEuntrfal\x00\xc3\xa9\xff\xef\xbb\xbf\n'),
    DEEP,
    ANYTHING.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
    st.integers(MAX_BODY - 60, MAX_BODY + 60).map(b'{"symbol":"A","values":[1]}'.ljust),
)
