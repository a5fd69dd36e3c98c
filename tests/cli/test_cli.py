import errno
import shutil
import subprocess
import sys

import pytest

from pdm import cli, errors
from pdm.cli.arguments.overview import GROUPS
from pdm.disk_full import DiskFull
from pdm.files import atomic_folder


@pytest.fixture
def ending(monkeypatch):
    """Exit code of a stage that ends by raising this."""

    def ending(error):
        def stage(args):
            if error is not None:
                raise error

        monkeypatch.setitem(cli.STAGES, "sample", (stage, {}))
        return cli.main(["sample"])

    return ending


# help


def test_help_lists_every_stage_with_what_it_does(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    lines = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("  ") and len(line.split()) > 1
    }
    for name, (function, _) in cli.STAGES.items():
        assert lines[name] == function.__doc__
    assert {"run", "serve", "params", "sync", "compare", "lineage"} <= set(lines)


def test_the_overview_has_every_command_once():
    commands = cli.parser()._subparsers._group_actions[0].choices
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(commands)


def test_without_a_command_the_overview_is_printed(capsys):
    assert cli.main([]) == 2
    assert "Start here:" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.STAGES)
def test_each_stage_shows_its_paths_with_their_defaults(capsys, name):
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    function, paths = cli.STAGES[name]
    assert function.__doc__.split()[0] in text
    for flag, default in paths.items():
        assert f"--{flag} PATH" in text
        assert default in text


def test_what_a_command_does_is_one_line_that_the_overview_can_wrap():
    commands = cli.parser()._subparsers._group_actions[0].choices
    assert [name for name, command in commands.items() if "\n" in command.description] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["params", "chekc"], "did you mean 'check'?"),
        (["run", "--kep-models"], "did you mean '--keep-models'?"),
        (["draw", "a lake", "--sise=6000x2500"], "did you mean '--size'?"),
    ],
)
def test_a_typing_error_is_answered_with_the_nearest_name(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(said)


def test_an_unknown_option_shows_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["scores", "--zzzz"])
    error = capsys.readouterr().err
    assert error.startswith("usage: pyramid scores")
    assert error.endswith("pyramid scores: error: unrecognized arguments: --zzzz\n")


def test_a_stage_without_params_says_so_before_anything_heavy_is_loaded(tmp_path):
    program = (
        f"import sys, pdm.cli\nfor name in {list(cli.STAGES)}: print(name, pdm.cli.main([name]), "
        "[name for name in ('torch', 'ray', 'mlflow', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == [f"{name} 2 []" for name in cli.STAGES]
    assert done.stderr.count("params.yaml does not exist") == len(cli.STAGES)


@pytest.mark.parametrize(
    ("words", "code"), [(["networks", "list"], 0), (["lineage", "missing.png"], 2)]
)
def test_a_short_answer_loads_neither_torch_nor_mlflow(words, code, tmp_path):
    program = (
        f"import sys, pdm.cli; code = pdm.cli.main({words});"
        "print(code, [name for name in ('torch', 'ray', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == f"{code} []"


def test_help_loads_nothing_heavy():
    program = (
        "import sys, pdm.cli; pdm.cli.parser().format_help();"
        "print([name for name in ('torch', 'ray', 'mlflow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("option", "lowest"), [("--num-images=0", 1), ("--steps=few", 1), ("--workers=-1", 0)]
)
def test_a_count_that_is_none_is_refused_with_what_is_expected(capsys, option, lowest):
    with pytest.raises(SystemExit) as end:
        cli.main(["sample", option])
    assert end.value.code == 2
    name, value = option.split("=")
    expected = f"{name}: expected a whole number of at least {lowest}, got '{value}'"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rehearse", "--max-memory", "nan"], "--max-memory: expected a number above 0, got 'nan'"),
        (["rehearse", "--max-memory=inf"], "--max-memory: expected a number above 0, got 'inf'"),
        (["rehearse", "--max-memory=-1"], "--max-memory: expected a number above 0, got '-1'"),
        (["ema", "nan"], "LENGTH: expected a number from 0.0001 to 0.28, got 'nan'"),
        (["ema", "0.1", "5"], "LENGTH: expected a number from 0.0001 to 0.28, got '5'"),
    ],
)
def test_a_number_that_is_out_of_range_is_refused_before_any_work(capsys, arguments, expected):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["paint"], ["sample", "--colour", "red"], ["params"]])
def test_a_command_that_does_not_exist_ends_with_two(arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2


# exit codes and messages


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (errors.BadInput("x"), 2),
        (errors.QualityGate("x"), 3),
        (errors.Unavailable("x"), 4),
        (errors.Preempted("x"), 75),
        (KeyboardInterrupt(), 130),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 4),
        (OSError(errno.ENOSPC, "No space left on device"), 4),
        (shutil.Error([("model", "copy", "[Errno 28] No space left on device: 'copy'")]), 4),
        (OSError(errno.EIO, "Input/output error", "x"), 4),
        (OSError(errno.EROFS, "Read-only file system", "x"), 4),
        (OSError(errno.EMFILE, "Too many open files"), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_the_exit_code_tells_what_happened(ending, error, code):
    assert ending(error) == code


def test_a_fault_of_the_user_is_one_line(ending, capsys):
    ending(errors.BadInput("samples/a.png is no picture; sample again"))
    assert capsys.readouterr().err == "error: samples/a.png is no picture; sample again\n"


def test_a_missing_file_is_named_in_one_line(ending, capsys):
    ending(FileNotFoundError(errno.ENOENT, "No such file or directory", "data/shards"))
    assert capsys.readouterr().err == "error: data/shards: no such file or directory\n"


def test_a_full_disk_is_one_line_with_the_place_and_what_is_free(ending, tmp_path, capsys):
    folder = tmp_path / "samples"
    with pytest.raises(DiskFull) as caught, atomic_folder(folder):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert ending(caught.value) == 4
    line = capsys.readouterr().err
    begin = f"error: {folder}: the disk is full, "
    assert line.startswith(begin)
    assert line.endswith("iB free; free some, or write elsewhere, then run this again\n")


def test_a_fault_of_ours_shows_its_traceback(ending, capsys):
    ending(ZeroDivisionError("x"))
    assert "Traceback" in capsys.readouterr().err


# on real folders


def test_checking_the_shipped_params_says_that_they_fit(capsys):
    assert cli.main(["params", "check"]) == 0
    assert capsys.readouterr().out == "params.yaml: all values fit\n"


@pytest.mark.parametrize("command", [["params", "check"], ["curate"], ["evaluate"]])
def test_bad_params_stop_every_command_before_any_work(tmp_path, capsys, command):
    path = tmp_path / "params.yaml"
    path.write_text("sample: {steps: 1e-3}\n")
    assert cli.main([*command, "--params", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ")
    assert all(str(path) in line for line in lines)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["params.yaml"]


def test_a_stage_whose_input_is_missing_names_it(tmp_path, capsys):
    arguments = [
        word
        for flag in ("autoencoder", "shards", "latents")
        for word in (f"--{flag}", str(tmp_path / flag))
    ]
    assert cli.main(["latents", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(tmp_path) in line


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "pdm", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("pyramid-diffusion ")
