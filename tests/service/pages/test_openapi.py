from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from sanic import Sanic

from aggregation import SharedMemory, Symbols
from service.app import create_app
from service.pages.openapi.document import openapi
from service.settings import Settings
from tests.service.conftest import Api
from tests.support.readme import table

Json = dict[str, Any]

METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")

ODD = Settings(max_symbols=3, max_k=5, max_batch=77, max_body=4321, request_seconds=2.5, max_connections=17)
"""No option as it is by default."""


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Every operation with its method and its path."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def resolved(document: Json, part: Json) -> Json:
    """What a reference refers to, or the part itself."""
    while "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def validator(document: Json, schema: Json) -> Draft202012Validator:
    """What judges instances of a schema of the document."""
    return Draft202012Validator({**schema, "components": document["components"]})


def parts(document: object) -> Iterator[Json]:
    """Every object in the document."""
    if isinstance(document, dict):
        yield document
        document = list(document.values())
    if isinstance(document, list):
        for one in document:
            yield from parts(one)


def statuses(document: Json) -> set[int]:
    """Every status that the document describes as a refusal."""
    return {int(status) for status in document["components"]["responses"]}


@pytest.mark.parametrize("settings", [Settings(), ODD], ids=["default", "odd"])
def test_it_is_openapi_3_1(settings: Settings) -> None:
    """The document is valid OpenAPI 3.1, whatever the settings."""
    validate(openapi(settings), cls=OpenAPIV31SpecValidator)


def test_the_service_serves_the_document_of_its_settings(api: Api, settings: Settings) -> None:
    """/openapi.json is the document with the limits of the service that answers."""
    response = api.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == openapi(settings)


@pytest.mark.parametrize("settings", [Settings(), ODD], ids=["default", "odd"])
def test_every_example_is_true_to_its_schema(settings: Settings) -> None:
    """Each example, of a schema, a parameter, a header or a body, is an instance of the schema beside it."""
    document = openapi(settings)
    examples = 0
    for part in parts(document):
        pairs = [(part["schema"], part["example"])] if "schema" in part and "example" in part else []
        if "examples" in part and "type" in part:
            pairs += [(part, example) for example in part["examples"]]
        for schema, example in pairs:
            if schema.get("type") == "integer" and isinstance(example, str):  # a header's value is text
                example = int(example)  # noqa: PLW2901
            validator(document, schema).validate(example)
            examples += 1
    assert examples > 30


def test_every_body_has_an_example_and_every_operation_its_words() -> None:
    """Operations have unique ids, a tag that is described, a summary and a description; JSON bodies have examples."""
    document = openapi(Settings())
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"] for tag in document["tags"]}
    for _, path, operation in operations(document):
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["description"]
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in (resolved(document, body) for body in bodies):
            for media_type, content in body.get("content", {}).items():
                assert "example" in content or path == "/openapi.json" or not media_type.startswith("application/json")


def test_no_component_is_left_over() -> None:
    """Every schema is referred to, and every response but that of a method which no operation has."""
    document = openapi(Settings())
    used = {part["$ref"] for part in parts(document) if "$ref" in part}
    kinds = document["components"]
    there = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in kinds[kind]}
    assert there - used == {"#/components/responses/405"}
    assert used <= there


def test_limits_are_those_of_the_settings() -> None:
    """What the document says of limits is what the options say, none of them a default."""
    document = openapi(ODD)
    schemas = document["components"]["schemas"]
    assert schemas["Batch"]["properties"]["values"]["maxItems"] == 77
    assert schemas["Receipt"]["properties"]["added"]["maximum"] == 77
    assert schemas["Health"]["properties"]["max_symbols"]["const"] == 3
    k = next(one for one in document["paths"]["/stats/"]["get"]["parameters"] if one["name"] == "k")
    assert k["schema"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert "4,321 bytes" in document["paths"]["/add_batch/"]["post"]["requestBody"]["description"]
    responses = document["components"]["responses"]
    assert "4,321 bytes" in responses["413"]["description"]
    assert "2.5 s" in responses["408"]["description"]
    assert "17 connections" in responses["503"]["description"]
    assert "10^5" in document["info"]["description"]


def test_every_route_is_described_and_nothing_else(settings: Settings) -> None:
    """Paths and methods of the document are those of the application's router, either way."""
    app = create_app(settings, Symbols(SharedMemory(settings.layout)), "tenfold-routes")
    try:
        routes = {
            (method, "/" + route.path.replace("<symbol:str>", "{symbol}").strip("/"))
            for route in app.router.routes
            for method in route.methods
            if not route.path.startswith("assets/")  # parts of the pages, not of the API
        }
    finally:
        Sanic.unregister_app(app)
    document = {(method.upper(), "/" + path.strip("/")) for method, path, _ in operations(openapi(settings))}
    assert document == routes


def test_the_tables_of_the_readme_agree() -> None:
    """The README's table of requests has the document's paths, and its table of statuses the document's statuses."""
    document = openapi(Settings())
    rows = table("request")
    described = {(method.upper(), path) for method, path, _ in operations(document) if method != "head"}
    named = set()
    for request in rows:
        method, target = request.strip("`").split("`")[0].split(" ", 1)
        named.add((method, target.split("?")[0].replace("/symbols/EURUSD", "/symbols/{symbol}")))
    assert named == described
    assert {int(status) for status in table("status")} == statuses(document)
    for operation in operations(document):
        described_here = {int(status) for status in operation[2]["responses"]}
        assert described_here - {200, 204, 304} <= statuses(document)


def test_refusals_are_of_the_status_that_they_stand_under() -> None:
    """Each refusal's example has the status that its name is, and the phrase of that."""
    for name, response in openapi(Settings())["components"]["responses"].items():
        for content in response["content"].values():
            status = HTTPStatus(int(name))
            assert (content["example"]["status"], content["example"]["title"]) == (status, status.phrase)
