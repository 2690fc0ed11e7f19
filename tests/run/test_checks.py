from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from sidecar.run.checks import file_errors
from sidecar.run.commands import app
from sidecar.settings.settings import Settings
from tests.tee.certificates import Authority


def settings(**compare_or_shadow: object) -> Settings:
    return Settings.model_validate({"shadows": [{"address": "h:1"}], **compare_or_shadow})


def test_descriptors_that_are_none_are_found_with_the_command_that_makes_them(
    tmp_path: Path,
) -> None:
    empty, text = tmp_path / "empty.pb", tmp_path / "text.proto"
    empty.touch()
    text.write_text('syntax = "proto3"; service S {}')
    for file, says in ((empty, "is empty"), (text, "not a serialized FileDescriptorSet")):
        (error,) = file_errors(settings(compare={"descriptors": str(file)}))
        assert error.startswith(f"compare.descriptors: {file}: ")
        assert says in error
        assert "protoc --descriptor_set_out" in error


def test_tls_files_that_are_no_pair_are_found(tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ours")
    cert, key = ours.sign("a.test")
    _, other = ours.sign("b.test")
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("hello")
    good = {"ca": str(ours.ca), "cert": str(cert), "key": str(key)}
    assert file_errors(settings(shadows=[{"address": "h:1", "tls": good}])) == []
    bad = {**good, "ca": str(wrong), "key": str(other)}
    ca, pair = file_errors(settings(shadows=[{"address": "h:1", "tls": bad}]))
    assert ca.startswith(f"shadows.0.tls.ca: {wrong}: not certificates")
    assert pair.startswith("shadows.0.tls.cert and key: ")


def test_check_config_and_the_start_say_it_in_a_line_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "empty.pb").touch()
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        f"compare: {{descriptors: {tmp_path}/empty.pb}}\n"
        "wire: {routes: [{listen: '127.0.0.1:0', upstream: '127.0.0.1:1'}]}\n"
    )
    for words in (["check-config", str(file)], ["run", "--config", str(file)]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert "compare.descriptors" in done.output
        assert "Traceback" not in done.output


def test_the_version_is_told() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout.startswith("shadow-sidecar ")) == (0, True)


def test_a_trace_url_without_a_place_for_the_id_is_refused() -> None:
    done = CliRunner().invoke(app, ["report", "--trace-url", "jaeger:16686"])
    assert done.exit_code == 2
    assert "{trace_id}" in done.output
