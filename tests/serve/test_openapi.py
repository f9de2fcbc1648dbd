"""What OpenAPI says of the service, and whether the service keeps it."""

import json

import pytest
from small_service import photograph, small_service

from sam_mprompt.serve.answer import Answer, regions_of
from sam_mprompt.serve.app import create_app
from sam_mprompt.serve.openapi import EXAMPLE_REGIONS, GEOJSON
from sam_mprompt.serve.problems import MEDIA_TYPE, ProblemDetails

TOKEN = "a-token-of-sixteen-and-more"


@pytest.fixture
def document():
    return create_app(small_service(None, "station", "gate")).openapi()


def test_adapters_are_named_and_a_form_says_what_its_fields_are(document):
    count = document["paths"]["/count"]["post"]
    content = count["requestBody"]["content"]
    assert {"image/jpeg", "image/png", "multipart/form-data"} <= content.keys()
    fields = content["multipart/form-data"]["schema"]["properties"]
    parameters = {parameter["name"]: parameter["schema"] for parameter in count["parameters"]}
    assert fields.keys() - parameters.keys() == {"image"}
    for schemas in (fields, parameters):
        assert schemas["adapter"]["enum"] == ["station", "gate"]
        assert schemas["level"]["exclusiveMaximum"] == 1
        assert all(schema["description"] for schema in schemas.values())


def test_its_examples_are_what_they_are_examples_of(document):
    schemas = document["components"]["schemas"]
    (answer,) = schemas["Answer"]["examples"]
    assert Answer.model_validate(answer).model_dump(mode="json") == json.loads(json.dumps(answer))
    (problem,) = schemas["ProblemDetails"]["examples"]
    assert ProblemDetails.model_validate(problem).status == 422
    assert regions_of(EXAMPLE_REGIONS).names == ("platform",)


def test_every_answer_that_is_no_success_is_a_problem(document):
    for path, item in document["paths"].items():
        for operation in item.values():
            for status, response in operation["responses"].items():
                assert (list(response["content"]) == [MEDIA_TYPE]) == (status != "200"), path
    assert {"408", "413", "415", "422", "429", "503", "504"} <= document["paths"]["/count"]["post"]["responses"].keys()


def test_a_token_is_told_where_one_is_asked_for(document):
    assert "securitySchemes" not in document["components"]
    secured = create_app(small_service(), token=TOKEN).openapi()
    assert secured["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert secured["paths"]["/count"]["post"]["security"] == [{"token": []}]
    assert "security" not in secured["paths"]["/healthz"]["get"]


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, TOKEN])
def test_what_schemathesis_makes_of_the_description_is_answered_as_it_says(token):
    import schemathesis
    from hypothesis import strategies as st
    from schemathesis import engine

    def left(name):
        ring = [[0, 0], [32, 0], [32, 48], [0, 48], [0, 0]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        feature = {"type": "Feature", "properties": {"name": name}, "geometry": shape}
        return json.dumps({"type": "FeatureCollection", "features": [feature]})

    images = st.sampled_from([photograph(kind=kind) for kind in ("PNG", "JPEG", "BMP")])
    schemathesis.openapi.format("binary", images)
    schemathesis.openapi.format(GEOJSON, st.sampled_from(["left", "a b"]).map(left))
    service = small_service(None, "station", "gate")
    app = create_app(service, token=token)
    for kind in app.openapi()["paths"]["/count"]["post"]["requestBody"]["content"]:
        if kind != "multipart/form-data":
            schemathesis.openapi.media_type(kind, images)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    schema.config.headers = headers
    schema.config.generation.update(max_examples=30)
    failures, checks = [], 0
    with service.running():
        for happened in engine.from_schema(schema).execute():
            assert not isinstance(happened, engine.events.NonFatalError | engine.events.FatalError), happened
            if isinstance(happened, engine.events.ScenarioFinished):
                found = [check for all_of_one in happened.recorder.checks.values() for check in all_of_one]
                checks += len(found)
                failures += [check.failure_info for check in found if check.status != engine.Status.SUCCESS]
    assert failures == []
    assert checks > 500
