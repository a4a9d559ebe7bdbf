from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.schemas import OpenApiSchema

from service.api.batch import refuse_symbol
from service.pages.openapi.document import openapi
from service.pages.openapi.schemas import SYMBOL_FORMAT
from service.settings import Settings
from tests.support.process import Process, running

SETTINGS = Settings(workers=1, max_k=4, max_batch=20, max_symbols=1000)

BINARY = "application/octet-stream"

schemathesis.openapi.format(
    SYMBOL_FORMAT, st.text(min_size=1, max_size=16).filter(lambda text: refuse_symbol(text) is None)
)
"""JSON Schema counts characters, a symbol is counted in bytes; 16 characters are at most 64 bytes."""

schemathesis.openapi.media_type(
    BINARY,
    st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=SETTINGS.max_batch).map(
        lambda prices: struct.pack(f"<{len(prices)}d", *prices)
    ),
)


CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "412"]},
            "negative_data_rejection": {"expected-statuses": ["400", "404", "405", "412", "415", "422"]},
        }
    }
)
"""What requests may be told that are true to the document, and those that are not: any number is a position, and seldom
the right one."""


def taking(media_type: str, *, named: bool) -> dict[str, Any]:
    """The document with one way to send a batch and its symbol, and to ask for prices: it cannot say "one of these"."""
    document = openapi(SETTINGS)
    operation = document["paths"]["/add_batch/"]["post"]
    content = operation["requestBody"]["content"]
    operation["requestBody"]["content"] = {media_type: content[media_type]}
    symbol, at = operation["parameters"]
    operation["parameters"] = [symbol | {"required": True}, at] if named else [at]
    batch = document["components"]["schemas"]["Batch"]
    if named:
        batch["properties"]["symbol"] = False
    else:
        batch["required"].append("symbol")
    wanted = document["paths"]["/prices/"]
    for method in ("get", "head"):
        ways = {"last"} if named else {"from", "size"}
        parameters = [
            one | {"required": True} for one in wanted[method]["parameters"] if one["name"] in {"symbol", *ways}
        ]
        wanted[method]["parameters"] = parameters
    return document


def schema_of(media_type: str, *, named: bool) -> OpenApiSchema:
    """What requests are made from."""
    return schemathesis.openapi.from_dict(taking(media_type, named=named), config=CONFIG)


schema = schema_of("application/json", named=False)
named = schema_of("application/json", named=True).include(path=["/add_batch/", "/prices/"])
binary = schema_of(BINARY, named=True).include(path="/add_batch/")


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    limits = ("--max-k", str(SETTINGS.max_k), "--max-batch", str(SETTINGS.max_batch))
    with running("--workers", "1", "--max-symbols", str(SETTINGS.max_symbols), *limits) as process:
        yield process
        assert process.stop() == 0
        text = "".join(process.log)
        assert "Traceback" not in text
        assert "ERROR" not in text


@schema.parametrize()
@hypothesis.settings(max_examples=20, derandomize=True, database=None, deadline=None)
def test_what_is_described_is_what_is_answered(case: schemathesis.Case[Any], service: Process) -> None:
    """Requests made from the document are answered as it says, the good ones and the bad ones."""
    case.call_and_validate(base_url=service.url)


@named.parametrize()
@hypothesis.settings(max_examples=20, derandomize=True, database=None, deadline=None)
def test_batches_whose_symbol_is_in_the_query_are_answered_as_described(
    case: schemathesis.Case[Any], service: Process
) -> None:
    """Batches in JSON that leave the symbol to the query are answered as the document says."""
    case.call_and_validate(base_url=service.url)


@binary.parametrize()
@hypothesis.settings(max_examples=20, derandomize=True, database=None, deadline=None)
def test_binary_batches_are_answered_as_described(case: schemathesis.Case[Any], service: Process) -> None:
    """Batches in binary are answered as the document says."""
    case.call_and_validate(base_url=service.url)
