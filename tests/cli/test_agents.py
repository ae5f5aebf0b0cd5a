"""AGENTS.toml and `serve-agent`: what they refuse, in words, and never with a secret in them."""

from __future__ import annotations

import pytest
import typer

from jaxcpp.cli.agents import read_agents, read_token
from tests.remote.certificates import Authority
from tests.remote.sides import write_apart, write_whole

SECRET = "a-secret-of-someones"
HEAD = 'certificate = "ours.pem"\nkey = "ours.key"\n'
VENDOR = '[vendor.hops]\naddress = "127.0.0.1:9"\nauthority = "ca.pem"\ntoken_file = "token"\n'


@pytest.fixture
def folder(tmp_path):
    authority = Authority("an authority")
    certificate, key = authority.issue("coordinator")
    for name, text in {"ours.pem": certificate, "ours.key": key, "ca.pem": authority.pem}.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "token").write_text(SECRET + "\n")
    return tmp_path


def read(folder, text):
    (folder / "AGENTS.toml").write_text(text)
    return read_agents(folder / "AGENTS.toml")


def test_files_are_looked_for_beside_it(folder):
    agents = read(folder, HEAD + "deadline = 2.5\n" + VENDOR)
    assert list(agents.vendors) == ["hops"]
    assert agents.deadline == 2.5
    secure = read(folder, HEAD + VENDOR.replace("127.0.0.1:9", "https://gateway.example/agents/hops"))
    assert type(secure.vendors["hops"]._transport).__name__ == "HttpsTransport"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD, r"\[vendor.ID\]"),
        (VENDOR, "certificate must be given"),
        (HEAD + VENDOR + "secret = 1", "vendor.hops.secret is unknown"),
        (HEAD + f'token = "{SECRET}"\n' + VENDOR, "token is unknown"),
        (HEAD + VENDOR.replace("127.0.0.1:9", "grpc://here"), "HOST:PORT"),
        (HEAD + VENDOR.replace("127.0.0.1:9", "http://plain:80"), "HOST:PORT"),
        (HEAD + VENDOR.replace("ca.pem", "none.pem"), "cannot read .*none.pem"),
        (HEAD + VENDOR.replace('"token"', '"none"'), "cannot read the token in .*none"),
        (HEAD + VENDOR + 'token_env = "T"', "two ways"),
        ("deadline = 0\n" + HEAD + VENDOR, "deadline must be a number of seconds"),
    ],
)
def test_what_is_wrong_is_said(folder, text, words):
    with pytest.raises(typer.BadParameter, match=words) as caught:
        read(folder, text)
    assert SECRET not in str(caught.value)


def test_a_token_of_several_lines_is_none(folder):
    (folder / "token").write_text(f"{SECRET}\nmore\n")
    with pytest.raises(typer.BadParameter, match="one line") as caught:
        read_token(folder / "token")
    assert SECRET not in str(caught.value)


def test_serve_agent_says_what_it_needs(run, folder):
    _, sides = write_apart(folder / "apart")
    whole = write_whole(folder / "whole")
    tls = ("--tls", folder / "ours.pem", folder / "ours.key", folder / "ca.pem")
    words = ("serve-agent", "--listen", "127.0.0.1:0", *tls)
    none = run(*words, "--fleet", sides["hops"])
    assert none.exit_code == 2
    assert "JAXCPP_AGENT_TOKEN" in none.stderr
    missing = run(*words, "--fleet", folder / "nowhere", "--token-file", folder / "token")
    assert missing.exit_code == 2
    assert "there is no such folder" in missing.stderr
    several = run(*words, "--fleet", whole, "--token-file", folder / "token")
    assert several.exit_code == 2
    assert "it has 2: 'hops', 'malt'" in several.stderr
    assert SECRET not in none.output + missing.output + several.output


def test_what_outside_vendors_cannot_be_asked_is_refused(run, folder):
    fleet, _ = write_apart(folder / "apart", ("hops",))
    (folder / "AGENTS.toml").write_text(HEAD + VENDOR)
    for extra, words in (
        (("--units", "integer"), "whole units"),
        (("--flows",), "flows"),
        (("--fee", "multiplicative=0.1"), "only additive fees"),
    ):
        result = run("plan", fleet, folder / "run", "--agents", folder / "AGENTS.toml", *extra)
        assert result.exit_code == 2
        assert words in result.stderr
    (folder / "AGENTS.toml").write_text(HEAD + VENDOR.replace("hops", "nobody"))
    result = run("plan", write_whole(folder / "w"), folder / "run", "--agents", folder / "AGENTS.toml")
    assert result.exit_code == 2
    assert "'nobody' has an agent, but no row in offers" in result.stderr


def test_shared_capacity_is_refused_by_the_vendors_end(run, folder):
    import pyarrow.parquet as pq

    _, sides = write_apart(folder / "apart")
    path = sides["hops"] / "sources.parquet"
    table = pq.read_table(path)
    rows = [{**row, "product_id": None} for row in table.to_pylist() if row["product_id"] == "ale"]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    result = run(
        "serve-agent", "--fleet", sides["hops"], "--listen", "127.0.0.1:0", "--tls", folder / "ours.pem",
        folder / "ours.key", folder / "ca.pem", "--token-file", folder / "token",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "share a source's capacity" in result.stderr
