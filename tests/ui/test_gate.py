"""Who may ask the page's server: this page, under this machine's own names."""

import pytest
from small_page import asking, small_page
from small_service import photograph

from sam_mprompt.serve.server import hosts_of

HOSTS = hosts_of("127.0.0.1", None)


@pytest.fixture
def client(tmp_path):
    with asking(small_page(tmp_path), hosts=HOSTS) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "localhost:8001", "127.0.0.1:8001", "[::1]:8001", "LOCALHOST"])
def test_under_this_machines_names_it_answers(client, host):
    assert client.get("/api/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8001", ""])
@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/state"])
def test_under_a_name_that_somebody_led_here_it_does_not(client, host, path):
    response = client.get(path, headers={"Host": host})
    assert response.status_code == 400
    assert response.json()["type"].endswith(":unknown-host")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_what_another_page_sends_is_refused_before_it_is_read(client, headers):
    for method, path in (
        ("POST", "/api/photos"),
        ("POST", "/api/training/stop"),
        ("DELETE", "/api/datasets/a/photos/b"),
    ):
        response = client.ask(method, path, headers={"Host": "localhost", **headers})
        assert response.status_code == 403
        assert response.json()["type"].endswith(":another-page")


def test_another_page_may_link_here_but_read_nothing(client):
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.get("/", headers={**foreign, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert client.get("/api/state", headers={**foreign, "Sec-Fetch-Mode": "cors"}).status_code == 403
    assert client.get("/api/state", headers={"Origin": "http://evil.example"}).status_code == 403
    assert "access-control-allow-origin" not in client.get("/api/state").headers


def test_its_own_page_is_answered(client):
    own = {"Host": "localhost:8001", "Origin": "http://localhost:8001", "Sec-Fetch-Site": "same-origin"}
    response = client.post("/api/photos", files={"image": ("a.png", photograph())}, headers=own)
    assert response.status_code == 200


def test_every_answer_forbids_to_fetch_from_elsewhere_and_to_be_framed(client):
    for path in ("/", "/static/main.js", "/api/state", "/api/nowhere"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_with_a_token_only_the_pages_own_files_are_answered_without_it(tmp_path):
    with asking(small_page(tmp_path), token="a-token-of-some-length") as client:
        assert client.get("/").status_code == client.get("/static/main.js").status_code == 200
        for path in ("/api/state", "/api/training", "/api/nowhere", "/static/../page.py", "/static/none.js"):
            assert client.get(path).status_code == 401
        bearer = {"Authorization": "Bearer a-token-of-some-length", "Host": "crowd.example"}
        assert client.get("/api/state", headers=bearer).status_code == 200


def test_nothing_but_the_files_beside_the_page_is_served(client):
    for path in ("/static/../page.py", "/static/%2e%2e/page.py", "/static/", "/page.py", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 404
