"""`python -m jaxcpp` is the command `jaxcpp`."""

from __future__ import annotations

from jaxcpp.cli.app import main

main()
