"""Schemathesis over the document that the app writes about itself: no server error, and answers as they are declared.

Every operation is asked with what its schema allows and with what it does not, by the operator and by nobody. Half of
the cases name things that exist, so that they come further than the first lookup. Then chains of public operations,
along the document's links: what one answers, the next is asked with.

The seed is fixed. `FUZZ=50 make test TEST=tests/web/test_fuzz.py` runs fifty times as long, with seeds of its own.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from keysat.catalog.policies import NewPolicy
from keysat.catalog.policies import create as create_policy
from keysat.catalog.products import NewProduct
from keysat.catalog.products import create as create_product
from keysat.licenses.issue import Terms, issue, key_text
from keysat.upkeep.shop import Shop
from keysat.web.entry import entry
from keysat.web.routes import HOT_ROADS
from keysat.web.throttle import Throttle
from tests.conftest import TESTER
from tests.web.conftest import ADMIN, bare, browse, read_document
from tests.web.story import new_store, prepared

TIMES = int(os.environ.get("FUZZ", "1"))
EXAMPLES = 8 * TIMES  # for each operation, on each kind of database
CHAINS = 40 * TIMES
CHAIN_LENGTH = 10


def nothing_unforeseen(told: Any, response: Response, case: Any) -> bool | None:
    """What a server behind this one fails at is 502 or 503, which `status_code_conformance` wants declared."""
    return None if response.status_code in (502, 503) else not_a_server_error(told, response, case)


CHECKS: list[Any] = [
    nothing_unforeseen,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

Operation = APIOperation[Any, Any, Any, Any]
Headers = Mapping[str, str]

schema: Any = schemathesis.openapi.from_dict(read_document())
schema.config.update(base_url="https://shop.test")
OPERATIONS: list[Operation] = [found.ok() for found in schema.get_all_operations()]
ADMINS = [operation for operation in OPERATIONS if operation.path.startswith("/v1/admin")]


def fuzzed(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
    )


@pytest.fixture
async def known(shop: Shop) -> dict[str, Any]:
    """What exists in this shop, by the names that paths and bodies have for it."""
    async with shop.work(TESTER) as work:
        product = await create_product(
            work, NewProduct(slug="aurora", name="Aurora", price_currency="USD", price_value=2500)
        )
        policy = await create_policy(work, NewPolicy(product_slug="aurora", slug="free", name="Free", price_value=0))
        license = await issue(
            work, Terms(product.id, policy.id, max_machines=2), order_id=None, customer_id=None, source="manual"
        )
        key = await key_text(work, license, shop.ring)
    return {
        "product_id": str(product.id),
        "policy_id": str(policy.id),
        "license_id": str(license.id),
        "slug": "aurora",
        "product": "aurora",
        "product_slug": "aurora",
        "policy_slug": "free",
        "key": key,
        "fingerprint": "this machine",
        "provider": "btcpay",
    }


@pytest.fixture
async def door(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Without limits, which would end each run after a few requests."""
    async with browse(entry(bare(), shop, Throttle(off=True), HOT_ROADS)) as client:
        yield client


def cases(operations: Sequence[Operation]) -> st.SearchStrategy[Any]:
    """Of any of the operations, as often allowed by its schema as not."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return st.sampled_from([(operation, mode) for operation in operations for mode in modes]).flatmap(_case)


def _case(chosen: tuple[Operation, GenerationMode]) -> st.SearchStrategy[Any]:
    operation, mode = chosen
    return operation.as_strategy(generation_mode=mode)


async def ask(door: httpx.AsyncClient, case: Any, known: Mapping[str, Any] | None, headers: Headers) -> httpx.Response:
    """`known`: what the case shall name instead of what it made up."""
    if known is not None:
        _name_what_exists(case, known)
    asking = case.as_transport_kwargs(base_url="https://shop.test", headers=headers)
    body = {name: asking[name] for name in ("json", "content") if name in asking}
    if isinstance(asking.get("data"), (bytes, str)):
        body["content"] = asking["data"]
    return await door.request(
        asking["method"],
        asking["url"],
        params=asking.get("params") or None,
        headers={name.encode(): _encoded(value) for name, value in asking["headers"].items()},
        **body,
    )


def _name_what_exists(case: Any, known: Mapping[str, Any]) -> None:
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: known[name] for name in part if name in known})  # pyright: ignore[reportUnknownVariableType]


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")


@fuzzed(EXAMPLES * len(OPERATIONS))
@given(case=cases(OPERATIONS), names_what_exists=st.booleans())
async def test_every_answer_is_as_declared(
    door: httpx.AsyncClient, known: dict[str, Any], case: Any, names_what_exists: bool
) -> None:
    headers = ADMIN if case.operation in ADMINS else {}
    answer = await ask(door, case, known if names_what_exists else None, headers)
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.once
@fuzzed(EXAMPLES * len(ADMINS) // 2)
@given(case=cases(ADMINS))
async def test_nobody_gets_past_the_guard(door: httpx.AsyncClient, known: dict[str, Any], case: Any) -> None:
    answer = await ask(door, case, known, {})
    case.validate_response(answer, checks=CHECKS)
    before = ("NUL", "nothing at this address", "Idempotency-Key: send")  # refused without a look at who asks
    assert (
        answer.status_code in (401, 403)
        or any(words in answer.text for words in before)
        or case.method != case.operation.method.upper()
    )


PUBLIC: Any = schema.exclude(path_regex="^/v1/admin")
ON_SALE = {  # in the story's shop; with this code the key comes at once
    "product": "aurora",
    "slug": "aurora",
    "policy_slug": "pro",
    "offer": None,
    "code": "FRIENDS",
    "buyer_email": "ann@example.org",
    "email": "ann@example.org",
    "redirect_url": None,
    "product_slug": None,
    "fingerprint": "this machine",
}


class Chain(PUBLIC.as_state_machine()):
    """A buyer or an app that goes from one answer to the next."""

    runner: ClassVar[asyncio.Runner]
    door: ClassVar[httpx.AsyncClient]
    bought: ClassVar[Mapping[str, Any]]
    """What a chain that begins in the middle names."""
    done: ClassVar[set[str]]
    """The operations that answered 200."""
    known: Mapping[str, Any]

    def step(self, input: Any) -> Any:
        self.known = {**ON_SALE, **self.bought} if input.transition is None else ON_SALE
        return super().step(input)

    def call(self, case: Any, **_: Any) -> Response:
        answer = self.runner.run(ask(self.door, case, self.known, {}))
        if answer.status_code == 200:
            self.done.add(case.operation.definition.raw["operationId"])
        return Response.from_httpx(answer, verify=True)

    def validate_response(self, response: Response, case: Any, **_: Any) -> None:
        case.validate_response(response, checks=CHECKS)

    @classmethod
    async def open(cls, house: AsyncExitStack, folder: Path) -> None:
        store = await house.enter_async_context(new_store(folder))
        front = await house.enter_async_context(prepared(store, folder))
        cls.door = await house.enter_async_context(browse(entry(bare(), front.shop, Throttle(off=True), HOT_ROADS)))
        key = (await cls.door.post("/v1/redeem", json=ON_SALE)).json()["license_key"]
        cls.bought, cls.done = {"key": key, "license_key": key}, set()


def test_a_chain_of_answers_ends_in_no_error_of_ours(tmp_path: Path) -> None:
    with asyncio.Runner() as Chain.runner:
        house = AsyncExitStack()
        Chain.runner.run(Chain.open(house, tmp_path))
        try:
            Chain.run(settings=settings(fuzzed(CHAINS), stateful_step_count=CHAIN_LENGTH))
        finally:
            Chain.runner.run(house.aclose())
    assert Chain.done >= {
        *("listTiers", "createPurchase", "refreshLicenseKey"),
        *("validateLicense", "activateMachine", "heartbeatMachine", "deactivateMachine"),
    }
