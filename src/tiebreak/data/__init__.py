"""Files of votes -> comparisons.

A file is CSV, JSON lines, a JSON list or Parquet; its columns say which `Layout` it has. The cells of prompt and
answers are plain text or lists of turns (`parse` says how they are told apart). `chosen` and `rejected` are put on
sides A and B by a hash of the row, half of the rows each way, so that the position gives nothing away. Every problem
in a file is found, with the line it is on, and no row is left out in silence.
"""

from tiebreak.data.candidates import Candidates, CandidatesFile, read_candidates
from tiebreak.data.chat_templates import parse_rendered_chat, read_rendered
from tiebreak.data.dataset import ProblemRows, from_frame, load_comparisons, load_votes
from tiebreak.data.issues import Kind, Problem, Severity, UnreadableError, shown
from tiebreak.data.layouts import Layout, Votes
from tiebreak.data.readers import Format, check_votes_path, read_table
from tiebreak.data.splits import split_by_prompt
from tiebreak.data.summary import Lengths, Summary, TextLengths, summarise
from tiebreak.data.synthetic import SEED_EXAMPLES, arithmetic_comparisons
from tiebreak.data.utf8 import repair
from tiebreak.data.vote_file import VoteFile, read_votes
from tiebreak.data.writer import write_comparisons

__all__ = [
    "SEED_EXAMPLES",
    "Candidates",
    "CandidatesFile",
    "Format",
    "Kind",
    "Layout",
    "Lengths",
    "Problem",
    "ProblemRows",
    "Severity",
    "Summary",
    "TextLengths",
    "UnreadableError",
    "VoteFile",
    "Votes",
    "arithmetic_comparisons",
    "check_votes_path",
    "from_frame",
    "load_comparisons",
    "load_votes",
    "parse_rendered_chat",
    "read_candidates",
    "read_rendered",
    "read_table",
    "read_votes",
    "repair",
    "shown",
    "split_by_prompt",
    "summarise",
    "write_comparisons",
]
