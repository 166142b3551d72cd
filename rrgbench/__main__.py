"""``python -m rrgbench`` is the shell."""

from rrgbench.cli import main

main()
