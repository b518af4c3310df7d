"""The load generator as a process: a plan comes in, a tally goes out (see `nbmlops.profiling.load`)."""

from nbmlops.profiling.load import main

main()
