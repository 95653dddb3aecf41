"""`metricc list` and `explain`: what there is."""

from __future__ import annotations

import sys
import textwrap

import click

from metricc import describe
from metricc.cli.options import formatting
from metricc.cli.printing import print_json, print_table
from metricc.errors import CATALOGUE, FINDINGS, WARNINGS
from metricc.examples import EXAMPLES, FOUND

WIDTH = 96  # of a text


@click.command("list")
@click.argument("words", nargs=-1)
@click.option("--family", help="Only this family, such as overlap.")
@click.option("--direction", type=click.Choice(["score", "error", "mixed"]), help="Only these.")
@formatting("text", "json")
def list_library(words: tuple[str, ...], family: str | None, direction: str, form: str) -> None:
    """List the library: metrics, counts and rates.

    With WORDS, those whose name, aliases or description hold all of them.

    \b
        metricc list
        metricc list kappa
        metricc list --family skill --direction score
    """
    from metricc.library import FAMILIES, families

    if family is not None and family not in FAMILIES:
        raise click.UsageError(f"there is no family {family}; there are {', '.join(FAMILIES)}")
    kept = {
        name: [d for d in ds if describe.matches(d, words, direction)]
        for name, ds in families().items()
        if family in (None, name)
    }
    metrics = {f: [d for d in ds if not d.name.isupper()] for f, ds in kept.items()}
    metrics = {f: ds for f, ds in metrics.items() if ds}
    vocabulary = [d for ds in kept.values() for d in ds if d.name.isupper()]
    if form == "json":
        entries = {f: [*map(describe.entry, ds)] for f, ds in metrics.items()}
        print_json({"metrics": entries, "vocabulary": [*map(describe.entry, vocabulary)]})
        sys.exit(0 if metrics or vocabulary else 1)
    groups = {**metrics, "counts and rates, for formulas": vocabulary}
    for title, definitions in groups.items():
        rows = [[describe.head(d), str(d.body), d.fact("description")] for d in definitions]
        if rows:
            print_table(rows, title)
    if not any(groups.values()):
        click.echo("nothing in the library matches", err=True)
        sys.exit(1)
    click.echo(describe.tally([d for ds in metrics.values() for d in ds], len(metrics)))


@click.command()
@click.argument("code")
def explain(code: str) -> None:
    """Say what the CODE of a diagnostic or of an audit's finding means.

    \b
        metricc explain MC0201
    """
    code = code.upper()
    if code in FINDINGS:
        formula, meaning = FOUND[code]
        click.echo(f"{code}: {FINDINGS[code]}\n\n{textwrap.fill(meaning, WIDTH)}")
        click.echo(f"\nfound of:\n    metricc audit {_word(formula)}")
        return
    if code not in CATALOGUE:
        codes = ", ".join((*CATALOGUE, *FINDINGS))
        raise click.UsageError(f"{code} is not a code; there are {codes}")
    click.echo(f"{code}: {CATALOGUE[code]}")
    wrong, right = (textwrap.indent(text, "    ") for text in EXAMPLES[code])
    verb = "is remarked on" if code in WARNINGS else "fails"
    click.echo(f"\n{verb}:\n{wrong}\n\nworks:\n{right}")


def _word(formula: str) -> str:
    """A formula as one word of a command."""
    return formula if formula.isidentifier() else f'"{formula}"'
