"""For tests: a shell that runs magics, and conformance kits for targets and converters."""
