"""The vocabulary that the language has before any library: cells, functions, reductions, words.

One row per function: its arity, its domain, and what it is called in each target, as text. Data
only: nothing is imported here, so every stage and every target can read the same table.
"""

from __future__ import annotations

from dataclasses import dataclass

CELLS = ("TP", "FN", "FP", "TN")

# The generated file's name for a predicted-against-true swap of each cell is its own concern;
# here only the sums of cells that the field has names for, written as those names.
DERIVED_COUNTS: dict[frozenset[str], str] = {
    frozenset({"TP", "FN"}): "P",
    frozenset({"FP", "TN"}): "N",
    frozenset({"TP", "FP"}): "PP",
    frozenset({"FN", "TN"}): "PN",
    frozenset({"TP", "FN", "FP", "TN"}): "POP",
}


def cells_of(column: str) -> tuple[str, ...]:
    """The names of the cells in which samples also count as a column says: TP_amount, ..."""
    return tuple(f"{cell}_{column}" for cell in CELLS)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    `least` and `most` bound the number of arguments. `domain` says in
    words where it is defined. `sympy` and `python` are its names in SymPy and in generated code;
    the latter is defined by the target (`emit`).
    """

    name: str
    least: int
    most: int
    domain: str
    sympy: str
    python: str


FUNCTIONS: dict[str, Function] = {
    row.name: row
    for row in (
        Function("sqrt", 1, 1, "arguments of at least 0", "sqrt", "_root"),
        Function("log", 1, 1, "arguments above 0; the natural logarithm", "log", "_log"),
        Function("exp", 1, 1, "every number", "exp", "_exp"),
        # SymPy's Abs is the complex modulus; of real numbers it is the larger of x and -x.
        Function("abs", 1, 1, "every number; slope 0 at 0", "Max", "_abs"),
        Function("min", 2, 24, "every number; a tie of two: the mean slope", "Min", "_min"),
        Function("max", 2, 24, "every number; a tie of two: the mean slope", "Max", "_max"),
        # Lowering spells these by the ones above and by arithmetic: targets never meet them.
        Function("clip", 3, 3, "value, least, most: min(max(value, least), most)", "", ""),
        Function("mean", 2, 8, "every number", "", ""),
        Function("harmonic_mean", 2, 8, "numbers of one sign; 0 where one of them is 0", "", ""),
        Function("geometric_mean", 2, 8, "numbers of at least 0", "", ""),
    )
}

# What differentiation brings in beside the functions that a user can write.
DERIVED_FUNCTIONS: dict[str, Function] = {
    row.name: row
    for row in (
        Function("step", 1, 1, "every number; 1/2 at 0", "Heaviside", "_step"),
        Function("log_ratio", 3, 3, "a, b, a - b: the logarithm of a/b", "LogRatio", "_log_ratio"),
        Function("select", 4, 4, "the third where first < second, else the fourth", "Select", ""),
    )
}

TASKS = ("binary", "multilabel", "multiclass")

# Each takes one expression over a table's cells and gives one number (per_class: one a class).
REDUCTIONS: dict[str, str] = {
    "macro": "the mean over classes",
    "micro": "the value on the table summed over classes",
    "weighted": "the mean over classes, each weighed by its positives",
    "sum": "the sum over classes",
    "worst": "the smallest of the classes",
    "geomean": "the geometric mean over classes",
    "per_class": "one value for each class",
    "samples": "the mean over samples, each with a table of its own",
}

# Which confusion tables a reduction looks at: one a class; the sum of all; all together as one
# K x K table, whose class sums stay consistent; one a class, weighed by its positives.
LEVELS = ("class", "pooled", "joint", "weighted")


@dataclass(frozen=True, slots=True)
class Element:
    """A term that is a mean over elements: `sum(v * loss) / sum(v)`.

    `arguments` are its parameters with their defaults, `tasks` those that have it. Focal loss is
    that of Lin et al. 2017.
    """

    name: str
    arguments: tuple[tuple[str, int], ...]
    tasks: tuple[str, ...]
    says: str


ELEMENTS: dict[str, Element] = {
    row.name: row
    for row in (
        Element("bce", (), TASKS[:2], "the mean binary cross-entropy"),
        Element("ce", (), TASKS[2:], "the mean cross-entropy"),
        Element("focal", (("gamma", 2),), TASKS, "the mean focal loss"),
    )
}

# Metrics of single off-diagonal cells of the K x K table, which one-vs-rest counts do not hold.
NEEDS_PAIRS = frozenset(
    "weighted_kappa kappa_weighted linear_kappa quadratic_kappa linear_weighted_kappa "
    "quadratic_weighted_kappa qwk confusion_entropy cen".split()
)

KEYWORDS = ("if", "then", "else", "and", "or", "not", "in", "inf", "nan", "true", "false", "import")

RESERVED = frozenset((*KEYWORDS, "as", *FUNCTIONS, *REDUCTIONS))

# Arguments that generated signatures have or will have, and torch.nn.Module's own attributes
# (tests compare this list with torch's): a parameter of that name could not be an argument.
SIGNATURE_WORDS = frozenset(
    "input target weight class_weight mask ignore_index reduction smooth absent per process_group "
    "L threshold thresholds mu delta p z self classes exclude_background label_smoothing counts "
    # of metricc.compile, value and score
    "formula name task surrogate from_probabilities maximize minimize "
    "y_true y_pred y_score sample_weight pos_label zero_division labels num_classes "
    "num_labels "
    # of tuning, watching and running counts
    "constraint estimator cv method refit random_state n_jobs params decay sync".split()
)
MODULE_ATTRIBUTES = frozenset(
    "add_module apply bfloat16 buffers call_super_init children compile cpu cuda double "
    "dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter "
    "get_submodule half ipu "
    "load_state_dict modules mtia named_buffers named_children named_modules named_parameters "
    "parameters register_backward_hook register_buffer register_forward_hook "
    "register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook "
    "register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module "
    "register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ "
    "set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu "
    "zero_grad T_destination".split()
)
# Locals of the elementwise passes, which arguments of surrogates and of element losses reach.
ELEMENTWISE = frozenset(
    "a b c d e g h l m n p q s t u v w x y z rows dtype at_once sums terms term losses log hit "
    "miss up down parts part half low mid high below above inside likely others rest cell flat "
    "size keep count _".split()
)
GENERATED_NAMES = frozenset(  # globals, and locals of the functions that take the parameters
    "math torch Tensor METRICC value gradient weights loss cells slope pair kept ctx inputs output "
    "grad_loss TP FN FP TN share counted live scored bce ce focal sample_weight scale "
    "w_plus w_minus plus minus means options total slopes positives nothing metric "
    "given Counts columns ranks keep sums found kernel again largest policy pieces place places "
    "left run arguments".split()
)
