"""``python -m nbmlops.cli``."""

from nbmlops.cli.main import main

if __name__ == "__main__":
    main()
