"""Files and data sets of the hub as tables of rows, before a layout interprets their cells."""

from tiebreak.data.readers.file_formats import Format, read_table
from tiebreak.data.readers.input_file import OnProgress, near_names
from tiebreak.data.readers.sources import check_votes_path, open_table
from tiebreak.data.readers.table import Row, Table

__all__ = ["Format", "OnProgress", "Row", "Table", "check_votes_path", "near_names", "open_table", "read_table"]
