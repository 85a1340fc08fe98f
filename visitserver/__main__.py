"""`python -m visitserver`."""

from visitserver.cli import main

main()
