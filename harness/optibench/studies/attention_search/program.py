"""Candidates as text: only the marked block may change, and it may only compute.

The rules prevent honest mistakes and shortcuts: reading files, accessing the interpreter, adding parameters, reading
the clock. They do not stop an attacker, which is impossible in Python. A candidate also runs in a separate process with
limits and without the endpoint's key. If you do not trust the endpoint, run the search in a container.
"""

from __future__ import annotations

import ast
from pathlib import Path

from optibench.errors import HarnessError

START, END = "# EVOLVE-BLOCK-START", "# EVOLVE-BLOCK-END"
MODULES = ("torch", "math")
"""The modules that a block may import, with their parts, except those below."""
_REFUSED_NAMES = {
    *("open", "eval", "exec", "compile", "input", "print", "breakpoint", "exit", "quit", "help", "globals", "locals"),
    *("vars", "dir", "getattr", "setattr", "delattr", "memoryview", "type", "object", "super", "classmethod"),
}
_REFUSED_ATTRIBUTES = {
    *("load", "save", "hub", "jit", "utils", "ops", "classes", "library", "package", "distributed", "multiprocessing"),
    *("compile", "set_num_threads", "manual_seed", "seed", "set_rng_state", "from_file", "serialization", "backends"),
    *("Parameter", "Module", "set_default_dtype", "set_default_device", "numpy", "tofile", "share_memory_"),
}


class RuleError(HarnessError):
    """A candidate breaks a rule; the message says which, and is shown to the model."""


def template(framework: str) -> str:
    """The program of a framework's evolvable variant."""
    import optibench_benchmarks.training.attention as package

    folder = Path(package.__path__[0]) / framework.replace("-", "_")
    return (folder / "evolvable.py").read_text(encoding="utf-8")


def framework_of(program: str, frameworks: tuple[str, ...]) -> str:
    """The framework of a program, from the text outside the block.

    Raises:
        RuleError: No framework matches: the text outside the block was changed.
    """
    before, _, after = parts(program)
    for framework in frameworks:
        own_before, _, own_after = parts(template(framework))
        if (before, after) == (own_before, own_after):
            return framework
    raise RuleError(f"Only what is between {START} and {END} may change; the rest is no framework's.")


def parts(program: str) -> tuple[str, str, str]:
    """The text before the block, the block, and the text after it; the marks are outside the block.

    Raises:
        RuleError: There is not exactly one of each mark, in this order.
    """
    lines = program.splitlines(keepends=True)
    marks = {mark: [n for n, line in enumerate(lines) if line.strip() == mark] for mark in (START, END)}
    if len(marks[START]) != 1 or len(marks[END]) != 1 or marks[START][0] > marks[END][0]:
        raise RuleError(f"A program has to have one line {START} and, after it, one line {END}.")
    start, end = marks[START][0] + 1, marks[END][0]
    return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])


def splice(answer: str, framework: str, *, longest: int) -> str:
    """Put the block of a model's answer into the framework's program.

    Args:
        answer: The model's answer: a block in a fence, or a complete program with marks in a fence.
        framework: The framework.
        longest: Maximum length of the block, in characters.

    Raises:
        RuleError: There is no code, the text outside the block was changed, or the block breaks a rule.
    """
    code = _fenced(answer)
    before, _, after = parts(template(framework))
    if START in code or END in code:
        own_before, block, own_after = parts(code)
        outside = (own_before.strip(), own_after.strip())
        if outside not in ((before.strip(), after.strip()), (START, END)):
            raise RuleError(f"Only what is between {START} and {END} may change.")
    else:
        block = code
    check(block, longest=longest)
    return f"{before}{block.strip()}\n\n\n{after}"


def _fenced(answer: str) -> str:
    pieces = answer.split("```")
    if len(pieces) < 3:
        raise RuleError("The answer has no code in a fence of three backticks.")
    longest = max(pieces[1::2], key=len)
    first, _, rest = longest.partition("\n")
    return rest if first.strip().lower() in ("", "python", "py") else longest


def check(block: str, *, longest: int) -> None:
    """Reject a block that breaks a rule.

    Raises:
        RuleError: It is too long, is not Python, does not define ``mix``, or does something that is not allowed.
    """
    if len(block) > longest:
        raise RuleError(f"The block has {len(block)} characters, more than {longest}.")
    try:
        tree = ast.parse(block)
    except SyntaxError as error:
        raise RuleError(f"The block is no Python: {error.msg} in its line {error.lineno}.") from None
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if "mix" not in {function.name for function in functions}:
        raise RuleError("The block defines no function `mix`.")
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
            documents = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not documents:
                raise RuleError(f"Line {statement.lineno} of the block is no function, import or assignment.")
    for node in ast.walk(tree):
        problem = _problem(node)
        if problem is not None:
            raise RuleError(f"Line {getattr(node, 'lineno', 0)} of the block is not allowed: {problem}.")


def _problem(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        origin = f"{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
        for words in ((origin + alias.name).split(".") for alias in node.names):
            if words[0] not in MODULES or _REFUSED_ATTRIBUTES & set(words):
                return f"it imports {'.'.join(words)}, and only parts of {' and '.join(MODULES)} that compute may be"
    elif isinstance(node, ast.Name) and (node.id in _REFUSED_NAMES or node.id.startswith("__")):
        return f"it uses {node.id}"
    elif isinstance(node, ast.Attribute) and (node.attr in _REFUSED_ATTRIBUTES or node.attr.startswith("_")):
        return f"it uses .{node.attr}"
    elif isinstance(node, ast.Global | ast.Nonlocal | ast.ClassDef | ast.AsyncFunctionDef):
        return f"it has a {type(node).__name__}, and a block is made of functions without memory"
    return None
