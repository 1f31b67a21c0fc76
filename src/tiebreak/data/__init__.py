"""Read files of votes into comparisons.

A file is CSV, JSON lines, a JSON list or Parquet; a data set of the hub is read as one file. Its columns decide its
`Layout`. Cells of prompts and answers are plain text or lists of turns (see `tiebreak.data.cells`). `chosen` and
`rejected` are assigned to sides A and B by a hash of the row, half of the rows each way, so that the position carries
no information. All problems in a file are reported with their line, and every row that is left out is counted.
"""

from tiebreak.data.candidates import Candidates, CandidatesFile, read_candidates
from tiebreak.data.column_mapping import parse_mapping
from tiebreak.data.dataset import ProblemRows, from_frame, load_comparisons, load_votes, select_rows
from tiebreak.data.file_check import FileCheck, check_file
from tiebreak.data.issues import Kind, Problem, Severity, UnreadableError, short_repr
from tiebreak.data.layouts import Layout, Votes
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side
from tiebreak.data.readers.file_formats import Format, read_table
from tiebreak.data.readers.input_file import near_names
from tiebreak.data.readers.sources import check_votes_path
from tiebreak.data.row_statistics import Lengths, TextLengths
from tiebreak.data.splits import sample_by_prompt, split_by_prompt
from tiebreak.data.summary import Summary, summarise
from tiebreak.data.synthetic import SEED_EXAMPLES, arithmetic_comparisons
from tiebreak.data.vote_file import VoteFile, read_votes
from tiebreak.data.writer import check_written_path, write_comparisons

__all__ = [
    "SEED_EXAMPLES",
    "Candidates",
    "CandidatesFile",
    "FileCheck",
    "Format",
    "Kind",
    "Layout",
    "Lengths",
    "Message",
    "Problem",
    "ProblemRows",
    "Severity",
    "Summary",
    "TextLengths",
    "UnreadableError",
    "VoteFile",
    "Votes",
    "arithmetic_comparisons",
    "check_file",
    "check_votes_path",
    "check_written_path",
    "from_frame",
    "load_comparisons",
    "load_votes",
    "near_names",
    "parse_mapping",
    "parse_messages",
    "parse_side",
    "read_candidates",
    "read_table",
    "read_votes",
    "sample_by_prompt",
    "select_rows",
    "short_repr",
    "split_by_prompt",
    "summarise",
    "write_comparisons",
]
