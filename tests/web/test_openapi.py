from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from litestar import post
from litestar.params import JSONBody
from openapi_core import OpenAPI

from keysat.infra.store import Store
from keysat.upkeep.shop import Shop
from keysat.web.auth import SESSION_COOKIE
from keysat.web.examples import examples
from keysat.web.idempotency import CREATES
from keysat.web.openapi import operations
from keysat.web.wire import Inbound, Line
from tests.web.api.test_who_may import SCOPE_OF
from tests.web.conftest import browse, doors_of
from tests.web.story import SNAPSHOT, Player, prepared, written

pytestmark = pytest.mark.once


class Baking(Inbound, frozen=True, kw_only=True):
    kind: Line


@post("/v1/loaves", status_code=200, operation_id="bake", opt=CREATES)
async def bake(data: JSONBody[Baking]) -> None: ...


async def test_the_api_is_described_without_help_from_elsewhere(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    answer = await client.get("/v1/openapi.json")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == document
    assert str(document["openapi"]).startswith("3.1")
    assert "cdn" not in answer.text
    OpenAPI.from_dict(document)  # refuses what is no OpenAPI


def test_docs_openapi_json_is_what_the_code_says(document: dict[str, Any]) -> None:
    assert SNAPSHOT.read_text() == written(document), "run make openapi, and look at the difference"


def told(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: call.operation for name, call in operations(document).items()}


def test_every_operation_is_named_and_tells_its_errors_as_problems(document: dict[str, Any]) -> None:
    answers = document["components"]["responses"]
    for name, operation in told(document).items():
        assert operation["summary"], name
        assert operation["description"].endswith((".", "`")), name
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                problem = answers[answer["$ref"].rpartition("/")[2]]
                assert list(problem["content"]) == ["application/problem+json"], (name, status)
    assert {"400", "413", "415", "429"} <= set(told(document)["createProduct"]["responses"])


def test_every_operation_stands_in_a_chapter_and_every_chapter_has_some(document: dict[str, Any]) -> None:
    tags = [tag for operation in told(document).values() for tag in operation["tags"]]
    assert len(tags) == len(told(document)) == sum(map(len, document["paths"].values()))
    assert set(tags) == {tag["name"] for tag in document["tags"]}


def test_every_operation_has_an_example_of_all_that_it_takes_and_answers(document: dict[str, Any]) -> None:
    for name, operation in told(document).items():
        contents = [operation["responses"]["200"], *([body] if (body := operation.get("requestBody")) else [])]
        for content in contents:
            [(_, shown)] = content["content"].items()
            assert "example" in shown, f"{name}: give it a step in keysat/web/examples, then make openapi"
            assert problems_of(shown, document) == [], name
        for parameter in operation.get("parameters", ()):
            [shown] = parameter["examples"].values() if "examples" in parameter else [{"value": parameter["example"]}]
            assert problems_of({**parameter, "example": shown["value"]}, document) == [], (name, parameter["name"])


async def test_every_operation_answers_its_own_example_as_it_is_documented(
    store: Store, tmp_path: Path, document: dict[str, Any]
) -> None:
    assert set(examples()) == set(told(document))
    async with prepared(store, tmp_path) as front:
        player = Player(front, document)
        for name, example in examples().items():
            answer = await player.ask(name, example)
            assert answer.status_code == 200, (name, answer.text)
            [shape] = told(document)[name]["responses"]["200"]["content"].values()
            assert problems_of({**shape, "example": answer.json()}, document) == [], name
            others = player.names.differences(example.answer, answer.json(), name)
            assert others == [], "the answer is another one now: run make openapi, and look at the difference"


def problems_of(shown: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """What the schema beside an example says against it."""
    schema = {**shown["schema"], "components": document["components"]}
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(shown["example"])]


def test_only_the_admin_api_wants_to_know_who_asks_and_says_what_he_must_be_allowed(document: dict[str, Any]) -> None:
    for name, (_, path, operation) in operations(document).items():
        wanted = operation.get("security", document.get("security"))
        if not path.startswith("/v1/admin"):
            assert wanted == [{}], name
            continue
        assert wanted == [{"adminKey": [SCOPE_OF[name]]}, {"sessionCookie": [SCOPE_OF[name]]}], name
        assert operation["description"].endswith(f"Needs the scope `{SCOPE_OF[name]}`."), name
    assert document["components"]["securitySchemes"]["sessionCookie"]["name"] == SESSION_COOKIE


async def test_a_creating_operation_tells_of_its_idempotency_key(shop: Shop) -> None:
    async with browse(doors_of(shop, bake)) as client:
        first, second = [(await client.get("/v1/openapi.json")).json() for _ in range(2)]
    operation = first["paths"]["/v1/loaves"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["Idempotency-Key"]
    assert {"200", "400", "409", "422"} <= set(operation["responses"])
    assert first == second
