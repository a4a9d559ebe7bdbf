"""The document as one HTML page: everything from this service, readable on a phone, in the dark and aloud."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Final

from service.api.problems import PROBLEM_JSON

from .answers import ANY_REQUEST
from .curl import ADDRESS, command
from .markup import block, paragraphs, pretty, prose, table
from .schemas import Json

STYLE: Final = Path(__file__).with_name("page.css").read_bytes()
STYLE_PATH: Final = "/assets/docs.css"
SCRIPT: Final = Path(__file__).with_name("page.js").read_bytes()
SCRIPT_PATH: Final = "/assets/docs.js"


def render(document: Json) -> str:
    """The page of a document; O(its size)."""
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(info['title'])} · API</title>"
        f'<link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="{STYLE_PATH}">'
        f'<script src="/assets/theme.js"></script><script src="{SCRIPT_PATH}" defer></script></head>'
        f'<body data-address="{ADDRESS}"><a class="skip" href="#content">Skip to the content</a>'
        f'<header><a class="back" href="/">Dashboard</a><h1>{escape(info["title"])} '
        f"<small>API {escape(info['version'])}</small></h1>"
        f"<p>{prose(info['summary'])}</p></header>"
        f'<div class="columns">{_contents(document)}<main id="content">'
        f"{_introduction(document)}{_operations(document)}{_any_request(document)}{_schemas(document)}"
        "</main></div></body></html>"
    )


def _by_tag(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    """Tag to its operations, each with its method and its path; HEAD goes without saying."""
    tagged: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "head":
                tagged[operation["tags"][0]].append((method, path, operation))
    return tagged


def _contents(document: Json) -> str:
    groups = ""
    for tag, operations in _by_tag(document).items():
        links = "".join(
            f'<li><a href="#{operation["operationId"]}">{_method(method)} <span>{escape(path)}</span></a></li>'
            for method, path, operation in operations
        )
        groups += f"<h2>{escape(tag)}</h2><ul>{links}</ul>"
    names = "".join(f'<li><a href="#{name}">{name}</a></li>' for name in document["components"]["schemas"])
    return (
        f'<nav aria-label="Contents">{groups}<h2>Reference</h2><ul><li><a href="#any">Any request</a></li>'
        f'<li><a href="#schemas">Schemas</a><ul class="names">{names}</ul></li></ul></nav>'
    )


def _introduction(document: Json) -> str:
    token = " with a token in the variable <code>TOKEN</code>" if "securitySchemes" in document["components"] else ""
    return (
        f"<section>{paragraphs(document['info']['description'])}<p>The commands below ask "
        f"<code>{ADDRESS}</code>{token}. The same as a document for programs: "
        '<a href="/openapi.json">openapi.json</a>.</p></section>'
    )


def _method(method: str) -> str:
    return f'<b class="method {method}">{method.upper()}</b>'


def _operations(document: Json) -> str:
    sections = ""
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for tag, operations in _by_tag(document).items():
        parts = "".join(_operation(document, *operation) for operation in operations)
        sections += f"<section><h2>{escape(tag)}</h2><p>{prose(tags[tag])}</p>{parts}</section>"
    return sections


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    name = operation["operationId"]
    also = ' <span class="also">and HEAD</span>' if "head" in document["paths"][path] else ""
    return (
        f'<article id="{name}" aria-labelledby="{name}-title"><h3 id="{name}-title">{_method(method)} '
        f"<code>{escape(path)}</code>{also}</h3>"
        f"<p><strong>{prose(operation['summary'])}.</strong> {prose(operation['description'])}</p>"
        f"{_parameters(document, operation)}{_body(operation)}"
        f'<div class="command">{block(command(method, path, operation), "Command")}</div>{_good(operation)}'
        f"{_refused(document, operation)}</article>"
    )


def _parameters(document: Json, operation: Json) -> str:
    rows = [
        (
            f"<code>{escape(one['name'])}</code>",
            one["in"] + (", required" if one["required"] else ", optional"),
            _kind(document, one["schema"]),
            prose(one["description"]),
        )
        for one in operation.get("parameters", [])
    ]
    return table(("Parameter", "Where", "Type", "Meaning"), rows, "Parameters") if rows else ""


def _body(operation: Json) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    kinds = ", ".join(
        f"<code>{escape(media_type)}</code>" + (f": {_link(content['schema'])}" if "$ref" in content["schema"] else "")
        for media_type, content in body["content"].items()
    )
    return f"<p>Body: {kinds}. {prose(body['description'])}</p>"


def _good(operation: Json) -> str:
    """The answers that are no problems, with their examples."""
    parts = ""
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            continue
        parts += f'<p><b class="status">{status}</b> {prose(answer["description"])}'
        for content in answer.get("content", {}).values():
            if "example" in content:
                parts += f" {_link(content['schema'])}</p>{block(pretty(content['example']), 'Answer')}<p>"
        parts += "</p>"
    return parts.replace("<p></p>", "")


def _refused(document: Json, operation: Json) -> str:
    """The refusals that are this operation's own."""
    own = [
        _refusal(status, document["components"]["responses"][status])
        for status, answer in operation["responses"].items()
        if "$ref" in answer and int(status) not in ANY_REQUEST
    ]
    more = '<p class="more">And <a href="#any">what any request may get</a>.</p>'
    return table(("Status", "When", "Says"), own, "Refusals") + more if own else more


def _refusal(status: str, response: Json) -> tuple[str, str, str]:
    headers = "".join(
        f"<br><code>{escape(name)}: {escape(header['example'])}</code>"
        for name, header in response.get("headers", {}).items()
    )
    detail = response["content"][PROBLEM_JSON]["example"]["detail"]
    return f'<b class="status">{status}</b>', prose(response["description"]), prose(detail) + headers


def _any_request(document: Json) -> str:
    """What any request may get; 405 is what a path answers to all other methods."""
    refusals = document["components"]["responses"]
    rows = [_refusal(status, refusals[status]) for status in refusals if int(status) in ANY_REQUEST | {405}]
    example = refusals["422"]["content"][PROBLEM_JSON]["example"]
    return (
        '<section id="any"><h2>What any request may get</h2><p>Every error has a body like this one, '
        f"<code>application/problem+json</code>: {_link({'$ref': 'Problem'})}</p>{block(pretty(example), 'A problem')}"
        f"{table(('Status', 'When', 'Says'), rows, 'Refusals of any request')}</section>"
    )


def _schemas(document: Json) -> str:
    parts = ""
    for name, schema in document["components"]["schemas"].items():
        required = schema.get("required", [])
        rows = [
            (
                f"<code>{escape(member)}</code>" + ("" if member in required else " <small>optional</small>"),
                _kind(document, one),
                prose(_description(document, one)),
            )
            for member, one in schema.get("properties", {}).items()
        ]
        members = table(("Member", "Type", "Meaning"), rows, f"Members of {name}") if rows else ""
        kind = "" if rows else f"<p>{_kind(document, schema)}</p>"
        examples = "\n".join(pretty(example) for example in schema["examples"])
        parts += (
            f'<article id="{name}" aria-labelledby="{name}-title"><h3 id="{name}-title">{name}</h3>'
            f"<p>{prose(schema['description'])}</p>{kind}{members}{block(examples, f'Examples of {name}')}</article>"
        )
    return f'<section id="schemas"><h2>Schemas</h2>{parts}</section>'


def _link(reference: Json) -> str:
    name = reference["$ref"].rpartition("/")[2]
    return f'<a href="#{name}">{name}</a>'


def _description(document: Json, schema: Json) -> str:
    if "description" in schema:
        return str(schema["description"])
    if "$ref" in schema:
        return str(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["description"])
    return ""


def _kind(document: Json, schema: Json) -> str:
    """The type in a few words, with its bounds."""
    if "$ref" in schema:
        return _link(schema)
    if "allOf" in schema:
        return _kind(document, schema["allOf"][0])
    if "const" in schema:
        return f"always <code>{escape(json.dumps(schema['const']))}</code>"
    kind: str = schema["type"]
    if kind == "array":
        return f"{schema['minItems']:,} to {schema['maxItems']:,} × {_kind(document, schema['items'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None:
        return f"{kind}, {low:,} to {high:,}" if isinstance(high, int) else f"{kind}, {low:g} to {high:g}"
    return f"{kind}, at least {low}" if low is not None else kind
