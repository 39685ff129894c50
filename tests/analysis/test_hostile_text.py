"""Names, reasons, commands and logs that mean to do something to a terminal or a page: shown as text, everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from analysis import rank, store

ESCAPE, FORGED = "\x1b[2J\x1b]0;owned\a", "ok\r\nerror: all is lost"
TURNED, PAGE = "\u202egnp.exe", "<script>x()</script>"
HOSTILE = f"[red]{ESCAPE}{FORGED}{TURNED}{PAGE}:smile:[/red]|`&lt;![x](http://y)"


@pytest.fixture
def hostile(lab: Any, make_spec: Any) -> Any:
    """A store whose every text is hostile: labels, data, commands, environments, reasons, logs, folders."""
    from dataclasses import replace

    finished, failed = make_spec(), make_spec(model="conv_plain")
    lab.finish(finished, data_name=HOSTILE, initialized_from=HOSTILE)
    lab.fail(failed, HOSTILE)
    lab.store.attempts(lab.store.run_ids()[0])[-1].log(HOSTILE)
    lab.store.attempts(lab.store.run_ids()[1])[-1].log(HOSTILE)
    plan = lab.plan((HOSTILE, finished), (f"conv{HOSTILE}", failed))
    lab.store.write_plan(replace(plan, sweep=HOSTILE, command=HOSTILE, data_name=HOSTILE))
    (lab.store.root / "runs" / "\x1b[31mrun").mkdir()
    (lab.store.root / "\x1b[31mfolder").mkdir()
    return lab


def is_inert(text: str) -> bool:
    """Whether nothing in the lines is for a terminal to obey."""
    return all(line.isprintable() for line in text.split("\n"))


def commands(lab: Any) -> list[tuple[Any, list[str]]]:
    root = str(lab.store.root)
    looks = [["list"], ["list", "--plans"], ["verify"], ["prune", "--unreferenced", "--dry-run"]]
    looks += [[word, run] for word in ("show", "log") for run in lab.store.run_ids()]
    return [*((store.main, [root, *words]) for words in looks), (rank.main, [root]), (rank.main, [root, "--markdown"])]


def test_no_command_lets_a_store_speak_to_the_terminal(hostile: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for main, arguments in commands(hostile):
        assert main(arguments) in (0, 1), arguments
        out, err = capsys.readouterr()
        assert is_inert(out) and is_inert(err), (arguments, out, err)
        is_log = "log" in arguments  # which may have lines of its own
        assert is_log or "\nerror:" not in out, f"{arguments}: a name forged a line"
        assert "\U0001f604" not in out, f"{arguments}: a name was taken for an emoji"


def test_a_name_that_is_asked_for_in_vain_lists_hostile_ones_as_text(
    hostile: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store.main([str(hostile.store.root), "show", "no\x1b[31mbody"]) == 2
    out, err = capsys.readouterr()
    assert not out and is_inert(err) and len(err.splitlines()) == 1


def test_markdown_shows_a_hostile_label_as_text(hostile: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rank.main([str(hostile.store.root), "--markdown"]) == 0
    out = capsys.readouterr().out
    assert "\\<script\\>x()\\</script\\>" in out
    assert "!\\[x\\](http" in out and "![x]" not in out
    assert "\\|\\`\\&lt;" in out
