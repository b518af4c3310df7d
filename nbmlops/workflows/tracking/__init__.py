"""What `%track` is made of: the hook that sees each fit, what is measured, and what is recorded."""
