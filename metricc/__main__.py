"""`python -m metricc`: the same program as the `metricc` command."""

from metricc.cli import main

if __name__ == "__main__":
    main()
