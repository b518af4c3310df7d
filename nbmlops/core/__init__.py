"""What every other room shares: errors, the workspace, settings, records and how results are shown."""
