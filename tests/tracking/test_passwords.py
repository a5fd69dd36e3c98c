"""No password of MLflow is ever printed or stored."""

import logging
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_models import draw, evaluate
from tracked_runs import CONFIG, runs
from tracked_servers import free_port

from pdm.errors import Unavailable
from pdm.tracking.connection.address import shown_address
from pdm.tracking.connection.redaction import redact, without_credentials
from pdm.tracking.records.record import Record
from pdm.tracking.sync import sync
from pdm.tracking.track import track

PASSWORDS = ["s3cr3t-canary", "p@ss:w/ord?#100%", "%2Fencoded%40canary"]
CANARIES = ["s3cr3t-canary", "ord?#100", "ss:w", "canary", "ord%3F"]
passwords = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=3, max_size=20)


def assert_no_trace(*texts):
    """In none of the texts, nor in any file of this folder."""
    files = [path for path in Path.cwd().rglob("*") if path.is_file()]
    contents = [path.read_bytes().decode("utf-8", errors="replace") for path in files]
    for canary in CANARIES:
        assert not [text for text in (*texts, *contents) if canary in text], canary


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("where", ["address", "environment"])
def test_a_run_is_sent_with_any_password_and_nothing_shows_it(
    password, where, gate, monkeypatch, capfd, caplog
):
    caplog.set_level(logging.INFO)
    name = f"secret {where} {PASSWORDS.index(password)}"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    if where == "address":
        # A well-formed address is percent-encoded, and means what it decodes to.
        gate.credentials = f"user:{password.replace('%2F', '/').replace('%40', '@')}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{password}@{gate.host}")
    else:
        gate.credentials = f"user:{password}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{gate.host}")
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    draw(b"one")
    evaluate(3.0, monkeypatch)
    gate.credentials = None
    run = runs(f"http://{gate.host}", name)["evaluate"]
    assert run.info.status == "FINISHED"
    assert_no_trace(*capfd.readouterr(), caplog.text, str(run.to_dictionary()))


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("fault", ["wrong password", "closed port", "database"])
def test_no_failure_shows_the_password(password, fault, gate, monkeypatch, capfd, caplog):
    host = gate.host if fault == "wrong password" else f"127.0.0.1:{free_port()}"
    scheme = "postgresql" if fault == "database" else "http"
    gate.credentials = "user:another"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://user:{password}@{host}")
    with track("evaluate", CONFIG) as tracked:
        tracked.log_scores({"distance": 1.0})
    with pytest.raises(Unavailable) as error:
        sync(Path("runs"))
    assert host in caplog.text or fault == "database"
    assert_no_trace(*capfd.readouterr(), caplog.text, str(error.value))


def test_a_password_in_the_address_of_a_source_is_not_sent():
    Path("params.yaml").write_text("scrape: {urls: 'https://me:s3cr3t-canary@example.org/a b'}\n")
    with track("evaluate", CONFIG):
        pass
    parent = next(run for name, run in runs().items() if name.startswith("pipeline"))
    assert parent.data.params["scrape.urls"] == "https://***@example.org/a b"
    Path("params.yaml").unlink()
    assert_no_trace(str(parent.to_dictionary()))


def test_an_address_that_an_earlier_version_kept_is_cut_when_it_is_read(tmp_path):
    with track("evaluate", CONFIG):
        pass
    [path] = Path("runs").glob("evaluate/*/tracking.json")
    path.write_text(path.read_text().replace("sqlite:///mlflow.db", "http://u:canary@host:5000"))
    assert Record.load(path.parent).sent.uri == "http://host:5000"


@given(passwords, st.sampled_from(["http", "https", "postgresql", "mysql+pymysql"]))
def test_an_address_never_shows_any_part_of_any_password(password, scheme):
    address = f"{scheme}://user:{password}@host:5000/path"
    may_be_a_query = "?" in password and not scheme.startswith("http")
    expected = f"{scheme}://***" if may_be_a_query else f"{scheme}://host:5000/path"
    assert without_credentials(address) == expected


@given(passwords)
def test_a_message_loses_the_password_however_it_is_written(password):
    address = f"http://user:{password}@host:5000"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        for written in (password, quote(password, safe="")):
            assert written not in redact(f"no answer from {address} with '{written}'")


def test_a_password_in_a_query_is_not_shown():
    assert without_credentials("postgresql://host/db?password=canary") == "postgresql://host/db"
    assert "canary" not in without_credentials("postgresql://host/db?password=a@canary")


def test_a_path_with_an_at_sign_is_shown_whole(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////home/me@work/mlflow.db")
    assert shown_address() == "sqlite:////home/me@work/mlflow.db"
