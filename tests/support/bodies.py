"""Bodies for ``POST /add_batch/``: every kind that is refused, with its status, and every kind that is fine."""

from __future__ import annotations

import json
from typing import Any


def batch(values: str, symbol: str = '"A"') -> bytes:
    """A batch document around literal JSON."""
    return f'{{"symbol": {symbol}, "values": [{values}]}}'.encode()


GOOD = batch("1.5, 2.5")
EMPTY_ARRAYS = b"[" + b",".join([b"[]"] * 100_000) + b"]"

NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "truncated": GOOD[:-2],
    "truncated in a number": b'{"symbol": "A", "values": [1.',
    "trailing garbage": GOOD + b" x",
    "trailing nul": GOOD + b"\x00",
    "two documents": GOOD + GOOD,
    "byte-order mark": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "utf-16 without mark": GOOD.decode().encode("utf-16-le"),
    "invalid utf-8": b'{"symbol": "\x80", "values": [1]}',
    "overlong utf-8": b'{"symbol": "\xc0\x80", "values": [1]}',
    "lone surrogate": batch("1", symbol='"\\ud800"'),
    "lone surrogate in an ignored key": b'{"symbol": "A", "values": [1], "note": "\\udc00"}',
    "control character in a string": batch("1", symbol='"A\nB"'),
    "NaN": batch("NaN"),
    "Infinity": batch("Infinity"),
    "-Infinity": batch("1, -Infinity"),
    "1e999": batch("1e999"),
    "-1e999": batch("-1e999"),
    "integer of 400 digits": batch("1" * 400),
    "+1": batch("+1"),
    "01": batch("01"),
    "-01": batch("-01"),
    ".5": batch(".5"),
    "1.": batch("1."),
    "1e": batch("1e"),
    "0x1": batch("0x1"),
    "trailing comma": batch("1,"),
    "trailing comma in the object": b'{"symbol": "A", "values": [1],}',
    "leading comma": batch(",1"),
    "single quotes": b"{'symbol': 'A', 'values': [1]}",
    "unquoted keys": b'{symbol: "A", values: [1]}',
    "comment": batch("1 /* one */"),
    "line comment": b"// a batch\n" + GOOD,
    "vertical tab": b"\x0b" + GOOD,
    "100,000 opening brackets": b"[" * 100_000,
    "100,000 opening brackets in values": b'{"symbol": "A", "values": ' + b"[" * 100_000,
    "100,000 opening braces": b'{"x":' * 100_000,
    "100,000 empty arrays, and a comma too many": b'{"x": [,' + EMPTY_ARRAYS + b"]}",
    "100,000 empty arrays after invalid utf-8": b'{"x\x80": ' + EMPTY_ARRAYS + b"}",
    "nested 100,000 deep in an ignored key": b'{"x": '
    + b"[" * 100_000
    + b"]" * 100_000
    + b', "symbol": "A", "values": [1]}',
}

NOT_A_BATCH: dict[str, tuple[bytes, str]] = {
    "array": (b"[1, 2]", ""),
    "number": (b"1", ""),
    "null": (b"null", ""),
    "string": (b'"symbol"', ""),
    "true": (b"true", ""),
    "1 MB string": (b'"' + b"x" * 1_000_000 + b'"', ""),
    "empty object": (b"{}", "/symbol"),
    "a hundred thousand keys": (b"{" + b",".join(b'"%d":0' % n for n in range(100_000)) + b"}", ""),
    "ten thousand keys": (b"{" + b",".join(b'"%d":0' % n for n in range(10_000)) + b"}", "/symbol"),
    "a hundred thousand objects": (b"[" + b",".join([b"{}"] * 100_000) + b"]", ""),
    "a hundred thousand arrays in an extra key": (b'{"symbol": "A", "values": [1], "x": ' + EMPTY_ARRAYS + b"}", ""),
    "two hundred thousand keys": (b"{" + b",".join([b'"":0'] * 200_000) + b"}", ""),
    "symbol missing": (b'{"values": [1]}', "/symbol"),
    "values missing": (b'{"symbol": "A"}', "/values"),
    "values missing, another key instead": (b'{"symbol": "A", "value": [1]}', "/values"),
    "symbol is a number": (batch("1", symbol="5"), "/symbol"),
    "symbol is null": (batch("1", symbol="null"), "/symbol"),
    "symbol is an array": (batch("1", symbol='["A"]'), "/symbol"),
    "symbol is an object": (batch("1", symbol="{}"), "/symbol"),
    "values is a number": (b'{"symbol": "A", "values": 1}', "/values"),
    "values is null": (b'{"symbol": "A", "values": null}', "/values"),
    "values is a string": (b'{"symbol": "A", "values": "[1]"}', "/values"),
    "values is an object": (b'{"symbol": "A", "values": {"0": 1}}', "/values"),
    "values is an empty object": (b'{"symbol": "A", "values": {}}', "/values"),
    "null inside": (batch("1, null"), "/values/1"),
    "true inside": (batch("true, 1"), "/values/0"),
    "false inside": (batch("1, 2, false"), "/values/2"),
    "string inside": (batch('1, "1.0"'), "/values/1"),
    "object inside": (batch("{}, 1"), "/values/0"),
    "array inside": (batch("[1], 2"), "/values/0"),
    "array inside last": (batch("1, [2, 3]"), "/values/1"),
    "empty array inside": (batch("1, [], 2"), "/values/1"),
    "array around": (batch("[1, 2]"), "/values/0"),
    "no value": (batch(""), "/values"),
    "10,001 values": (batch(",".join(["1"] * 10_001)), "/values"),
    "1.1e100": (batch("1, 1.1e100"), "/values/1"),
    "-1.1e100": (batch("-1.1e100"), "/values/0"),
    "the next double above 1e100": (batch("1.0000000000000002e100"), "/values/0"),
    "1e101, beside an integer of 2^64": (batch("18446744073709551616, 1e101"), "/values/1"),
    "1e308": (batch("1, 2, 1e308"), "/values/2"),
    "integer of 102 digits": (batch("1" + "0" * 101), "/values/0"),
    "two symbols": (b'{"symbol": "A", "symbol": "B", "values": [1]}', "/symbol"),
    "two equal symbols": (b'{"symbol": "A", "symbol": "A", "values": [1]}', "/symbol"),
    "two values": (b'{"symbol": "A", "values": [1], "values": [2]}', "/values"),
    "two values, one escaped": (b'{"symbol": "A", "v\\u0061lues": [1], "values": [2]}', "/values"),
    "two values, one of 2^64": (b'{"symbol": "A", "values": [18446744073709551616], "values": [2]}', "/values"),
    "two values, one of them wrong": (b'{"symbol": "A", "values": null, "values": [2]}', "/values"),
    "two symbols, one escaped": (b'{"symbol": "A", "s\\u0079mbol": "B", "values": [1]}', "/symbol"),
    "symbol empty": (batch("1", symbol='""'), "/symbol"),
    "symbol of 65 bytes": (batch("1", symbol='"' + "x" * 65 + '"'), "/symbol"),
    "symbol of 22 characters, 66 bytes": (batch("1", symbol='"' + "日" * 22 + '"'), "/symbol"),
    "symbol with nul": (batch("1", symbol='"A\\u0000"'), "/symbol"),
    "symbol with newline": (batch("1", symbol='"A\\nB"'), "/symbol"),
    "symbol with delete": (batch("1", symbol='"A\u007fB"'), "/symbol"),
    "symbol with next line": (batch("1", symbol='"A\\u0085B"'), "/symbol"),
    "symbol with the last control character": (batch("1", symbol='"A\\u009fB"'), "/symbol"),
    "symbol with line separator": (batch("1", symbol='"A\u2028B"'), "/symbol"),
    "symbol with leading space": (batch("1", symbol='" A"'), "/symbol"),
    "symbol with trailing space": (batch("1", symbol='"A "'), "/symbol"),
    "symbol with trailing no-break space": (batch("1", symbol='"A\u00a0"'), "/symbol"),
    "symbol with trailing tab": (batch("1", symbol='"A\\t"'), "/symbol"),
    "symbol with leading ideographic space": (batch("1", symbol='"\u3000A"'), "/symbol"),
    "symbol of a space": (batch("1", symbol='" "'), "/symbol"),
    "symbol with a direction mark": (batch("1", symbol='"A\u200eB"'), "/symbol"),
    "symbol with an Arabic letter mark": (batch("1", symbol='"A\u061cB"'), "/symbol"),
    "symbol with bidirectional override": (batch("1", symbol='"A\u202eB"'), "/symbol"),
    "symbol with bidirectional isolate": (batch("1", symbol='"A\u2066B"'), "/symbol"),
}

FINE: dict[str, tuple[bytes, str, list[float]]] = {
    "decimals": (GOOD, "A", [1.5, 2.5]),
    "integers": (batch("1, 2, 3"), "A", [1.0, 2.0, 3.0]),
    "mixed": (batch("1, 2.5, -3"), "A", [1.0, 2.5, -3.0]),
    "2^53 + 1": (batch("9007199254740993"), "A", [9007199254740992.0]),
    "2^63": (batch("9223372036854775808"), "A", [2.0**63]),
    "2^64 - 1": (batch("18446744073709551615"), "A", [2.0**64]),
    "2^64": (batch("18446744073709551616"), "A", [2.0**64]),
    "-2^63 - 1": (batch("-9223372036854775809"), "A", [-(2.0**63)]),
    "a googol": (batch("1" + "0" * 100), "A", [1e100]),
    "the limits": (batch("1e100, -1e100"), "A", [1e100, -1e100]),
    "minus zero": (batch("-0.0"), "A", [-0.0]),
    "minus zero as an integer, from 2^64 on": (batch("-0, 18446744073709551616"), "A", [0.0, 2.0**64]),
    "minus zero as an integer": (batch("-0"), "A", [0.0]),
    "smallest": (batch("5e-324"), "A", [5e-324]),
    "underflow": (batch("1e-400"), "A", [0.0]),
    "underflow from below": (batch("-1e-400"), "A", [-0.0]),
    "a decimal beside an integer of 2^64": (batch("0.1, 18446744073709551616"), "A", [0.1, 2.0**64]),
    "many digits": (batch("0.1000000000000000055511151231257827"), "A", [0.1]),
    "exponents in thousands": (batch(",".join(["1E5, 1e+5, 1e-1"] * 3000)), "A", [1e5, 1e5, 0.1] * 3000),
    "10,000 values of 60 digits": (
        batch(",".join(["0." + "5" * 60] * 10_000)),
        "A",
        [0.555555555555555555] * 10_000,
    ),
    "exponents": (batch("1E5, 1e+5, 1e-1"), "A", [1e5, 1e5, 0.1]),
    "10,000 values": (batch(",".join(["1.25"] * 10_000)), "A", [1.25] * 10_000),
    "extra key": (b'{"symbol": "A", "note": "x", "values": [1]}', "A", [1.0]),
    "extra key twice": (b'{"n": 1, "n": 2, "symbol": "A", "values": [1]}', "A", [1.0]),
    "extra key with an array": (b'{"symbol": "A", "values": [1], "note": [[1], {"symbol": 2}]}', "A", [1.0]),
    "extra key with nine thousand objects": (
        b'{"symbol": "A", "values": [1], "note": [' + b",".join([b"{}"] * 9_000) + b"]}",
        "A",
        [1.0],
    ),
    "values first": (b'{"values": [1], "symbol": "A"}', "A", [1.0]),
    "white space": (b'\r\n\t {"symbol"\t:\n"A" ,"values" : [ 1 , 2 ] } \n', "A", [1.0, 2.0]),
    "escaped key": (b'{"s\\u0079mbol": "A", "values": [1]}', "A", [1.0]),
    "escaped symbol": (batch("1", symbol='"\\u0045U\\/R"'), "EU/R", [1.0]),
    "bracket in the symbol": (batch("1", symbol='"A[1]"'), "A[1]", [1.0]),
    "symbol of 64 bytes": (batch("1", symbol='"' + "x" * 64 + '"'), "x" * 64, [1.0]),
    "surrogate pair": (batch("1", symbol='"\\ud83d\\ude80"'), "🚀", [1.0]),
    **{
        symbol: (batch("1", symbol=json.dumps(symbol)), symbol, [1.0])
        for symbol in ("BRK.B", "EUR/USD", "^GSPC", "ES 03-26")
    },
    "日経225": (batch("1", symbol='"日経225"'), "日経225", [1.0]),
}

BAD_QUERIES: dict[str, str] = {
    **{
        f"k={k!r}": f"symbol=A&k={k}"
        for k in ("0", "9", "-1", "10", "1.5", "1e0", "01", "%2B1", "+1", "1_0", "1+", "x")
    },
    "no query": "",
    "k missing": "symbol=A",
    "k blank": "symbol=A&k=",
    "k without =": "symbol=A&k",
    "k full-width": "symbol=A&k=%EF%BC%91",
    "k with a minus sign": "symbol=A&k=%E2%88%921",
    "k not utf-8": "symbol=A&k=%FF",
    "k arabic": "symbol=A&k=%D9%A1",
    "k with nul": "symbol=A&k=1%00",
    "k of many digits": "symbol=A&k=" + "1" * 4000,
    "k twice": "symbol=A&k=1&k=2",
    "k twice, equal": "symbol=A&k=1&k=1",
    "symbol missing": "k=1",
    "symbol blank": "symbol=&k=1",
    "symbol twice": "symbol=A&symbol=B&k=1",
    "symbol twice, one escaped": "symbol=A&s%79mbol=A&k=1",
    "k twice, one blank": "symbol=A&k=1&k=",
    "symbol not utf-8": "symbol=%FF&k=1",
    "not utf-8 elsewhere": "symbol=A&k=1&note=%C3%28",
    "K for k": "symbol=A&K=1",
}


def expected_document(values: list[float]) -> dict[str, Any]:
    """min, max and last of a batch that is the whole window."""
    return {"min": min(values), "max": max(values), "last": values[-1]}
