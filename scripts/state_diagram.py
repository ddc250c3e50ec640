"""The states of a job as docs/architecture.md shows them, written from the table of moves that the code obeys.

python -m scripts.state_diagram            prints them
python -m scripts.state_diagram --write    puts them into docs/architecture.md"""

from __future__ import annotations

import argparse
from pathlib import Path

from router.models.jobs import JOB_MOVES, JobStatus
from scripts.made_part import with_part

PAGE = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"
BEGIN, END = "<!-- states: begin -->", "<!-- states: end -->"


def diagram() -> str:
    """A Mermaid diagram and the table it is made of."""
    return f"{_mermaid()}\n\n{_table()}"


def _mermaid() -> str:
    """What every job that is not yet assigned may do is drawn once, through one point."""
    free = [status for status, moves in JOB_MOVES.items() if moves >= _common()]
    lines = ["```mermaid", "stateDiagram-v2", "  state any <<choice>>"]
    lines += [f"  [*] --> {status}" for status in _first()]
    lines += [f"  {status} --> any" for status in free]
    lines += [f"  any --> {status}" for status in JobStatus if status in _common()]
    for status, moves in JOB_MOVES.items():
        left = moves - _common() if status in free else moves
        lines += [f"  {status} --> {other}" for other in JobStatus if other in left]
    lines += [f"  {status} --> [*]" for status, moves in JOB_MOVES.items() if not moves]
    return "\n".join([*lines, "```"])


def _table() -> str:
    lines = ["| from | to |", "| --- | --- |"]
    for status, moves in JOB_MOVES.items():
        named = ", ".join(str(other) for other in JobStatus if other in moves)
        lines.append(f"| {status} | {named or 'nothing: the end'} |")
    return "\n".join(lines)


def _common() -> frozenset[JobStatus]:
    return JOB_MOVES[JobStatus.CREATED]


def _first() -> tuple[JobStatus, ...]:
    return (
        JobStatus.CREATED,
        JobStatus.PENDING_CLASSIFICATION,
        JobStatus.PENDING_SCHEDULE,
        JobStatus.WAITING_FOR_ACTIVATION,
    )


def shown(page: str) -> str:
    """What stands between the marks of the page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m scripts.state_diagram", description="Print the states of a job.")
    parser.add_argument("--write", action="store_true", help="put them into docs/architecture.md instead")
    if not parser.parse_args(arguments).write:
        print(diagram())
        return
    page = with_part(PAGE.read_text(encoding="utf-8"), BEGIN, END, f"\n\n{diagram()}\n\n")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
