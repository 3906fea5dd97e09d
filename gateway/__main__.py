"""python -m gateway: the same as the command `submeter`."""

from gateway.cli import main

main()
