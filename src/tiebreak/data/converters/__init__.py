"""Other people's layouts of preferences, turned into rows with Tiebreak's own columns.

`find_converter` recognises a layout by its columns. Nothing is guessed: a converter names the column that each of
Tiebreak's columns is read from, and `tiebreak check` prints them.
"""

from tiebreak.data.converters.converter import Converter
from tiebreak.data.converters.recognition import CONVERTERS, convert_table, find_converter

__all__ = ["CONVERTERS", "Converter", "convert_table", "find_converter"]
