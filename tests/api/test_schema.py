"""Whatever is asked, the API answers as its own description says, and never with a fault."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from simulator.local import Simulator
from simulator.scenarios import scenario
from tests.api.double import FlowDouble, settings_at
from tests.api.served import served

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
Case: TypeAlias = schemathesis.Case[Any]

ENDLESS = {"/api/v1/live/sse"}


@pytest.fixture(scope="module")
def spec_url(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[str]:
    limits = {"requests_per_minute": 10**6, "commands_per_minute": 10**6, "command_seconds": 0.2}
    with Simulator(scenario("calm").settings) as sim:
        place = {"ws_url": sim.ws_url, "rest_url": sim.rest_url}
        folder = tmp_path_factory.mktemp("schema")
        found = settings_at(url, folder, api=limits, binance=place)
        flow = FlowDouble(found).start()
        with served(found) as address:
            yield f"{address}/api/v1/openapi.json"
        flow.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_breaks_it_and_every_answer_is_as_described(
    spec_url: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(spec_url)
    operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(operations) > 15
    for operation in operations:
        if operation.path not in ENDLESS:
            ask(operation, mode)


def ask(operation: Operation, mode: GenerationMode) -> None:
    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        case.call_and_validate(checks=CHECKS)

    try:
        run()
    except Unsatisfiable:  # a route that takes nothing cannot be given anything wrong
        assert mode is GenerationMode.NEGATIVE
    except Exception as error:
        error.add_note(f"{operation.label}, {mode.value}")
        raise
