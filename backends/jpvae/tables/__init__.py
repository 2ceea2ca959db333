"""A person's tables in files: read, joined on their ids, filled, written back in their own format; and models compared on them.

Importing this package needs pandas; what one format needs beside it is imported when a file of that format is read.
"""

from ..errors import MissingDependency

try:
    import pandas  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependency("tables need pandas: pip install 'jpvae[tables]'") from error
