"""`python -m flows`: the commands behind `pyramid run` and `pyramid serve`."""

import argparse
import signal
import sys
import time
from types import FrameType

from flows import environment, report
from flows.errors import DISK_FAULTS, INTERRUPTED, UNAVAILABLE, RunError
from flows.stages import graph
from flows.stages.check import check_params


def run(args: argparse.Namespace) -> None:
    """Bring every stage up to date, in order, and show the results."""
    began = time.monotonic()
    graph.configure_dvc_scm()
    check_params()
    outcomes = []
    if graph.stale():
        # Importing and starting Prefect takes seconds, too long for a pipeline that is up to date.
        from flows.pipeline import pipeline
        from flows.server import configured_server, start_server_until_exit

        if configured_server() is None:
            start_server_until_exit()
        outcomes = pipeline(args.keep_models)
    report.show(outcomes, time.monotonic() - began)
    if not any(outcome.state != "fresh" for outcome in outcomes):
        print(report.UP_TO_DATE)


def serve(args: argparse.Namespace) -> None:
    """Run the pipeline on a schedule until stopped."""
    from flows.serve import cron_schedule, serve_pipeline

    graph.configure_dvc_scm()
    serve_pipeline(cron_schedule(args.cron), keep_models=args.keep_models)


def parser() -> argparse.ArgumentParser:
    """Build the parser; users type `pyramid` instead."""
    top = argparse.ArgumentParser(prog="python -m flows")
    commands = top.add_subparsers(required=True)
    once = commands.add_parser("run", help=run.__doc__)
    once.set_defaults(function=run)
    scheduled = commands.add_parser("serve", help=serve.__doc__)
    scheduled.add_argument("--cron", default="0 3 * * *")
    scheduled.set_defaults(function=serve)
    for command in (once, scheduled):
        command.add_argument("--keep-models", action="store_true")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    environment.prepare()
    signal.signal(signal.SIGTERM, _end)
    try:
        graph.check_project_folder()
        args.function(args)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        hint = "; `pyramid run` goes on from there" if args.function is run else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        place = f"{error.filename}: " if error.filename else ""
        fault = (error.strerror or str(error)).lower()
        print(f"error: {place}{fault}; check the disk, then run this again", file=sys.stderr)
        return UNAVAILABLE
    return 0


def _end(signum: int, frame: FrameType | None) -> None:
    """End like ctrl-C, so that the running stage is stopped, too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
