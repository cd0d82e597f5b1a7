"""`python -m tftransfer` is the command `tftransfer`."""

import sys

from tftransfer.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
