"""What the page on ensembles tells a reader to type works."""

import shutil

import pytest

from tests.test_docs import parsed_commands_of, run_commands_of

PAGE = "ensembles.md"


@pytest.mark.slow
def test_its_commands_run(trained, tmp_path, monkeypatch, capsys):
    for name in ("A", "B", "C"):
        shutil.copytree(trained[1], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    run_commands_of(PAGE, capsys)


def test_what_trains_is_parsed_and_its_settings_make_a_recipe():
    assert parsed_commands_of(PAGE) >= 6
