"""``python -m chargeback.cli`` and the ``chargeback`` script."""

from chargeback.cli import main

if __name__ == "__main__":
    main()
