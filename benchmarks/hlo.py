"""The text of a compiled program: which of its instructions are kernels, and what they read and write."""

import re
from collections.abc import Callable
from typing import NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
_BYTES |= {"s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16, "s4": 1, "u4": 1, "token": 0}

# They name arrays that are there, or wait for a kernel that has begun.
_FREE = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "after-all", "partition-id", "replica-id"}
# What the scalar unit of a TPU does by itself is none.
_KERNELS = {"fusion", "copy", "copy-start", "custom-call", "reduce", "sort", "scatter", "gather", "dot", "convolution"}
_CALLED = re.compile(r"(?:to_apply|body|branch_computations|true_computation|false_computation|called_computations)=")


class Instruction(NamedTuple):
    """One line of a program.

    Attributes:
        operation: its opcode.
        size: bytes of what it makes.
        operands: the names of what it reads.
        called: the computations that it runs, where it is a branch, a loop or a call.
    """

    operation: str
    size: int
    operands: list[str]
    called: list[str]


class Program(NamedTuple):
    """Instructions by name, for each computation by name; and which of these is run."""

    computations: dict[str, dict[str, Instruction]]
    entry: str


def parse(text: str) -> Program:
    """The program of a text."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry = at = ""
    for line in text.split("\n"):
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            at = head[2]
            computations[at] = {}
            entry = at if head[1] else entry
        elif found := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*)", line):
            computations[at][found[1]] = _instruction(found[2])
    return Program(computations, entry)


def _instruction(text: str) -> Instruction:
    end = _closing(text) + 1 if text.startswith("(") else text.index(" ")
    kind, rest = text[:end], text[end:].lstrip()
    operation = rest[: rest.index("(")]
    inside = rest[len(operation) :]
    close = _closing(inside)
    operands, attributes = inside[:close], inside[close:]
    called = []
    for where in _CALLED.finditer(attributes):
        value = attributes[where.end() :]
        value = value[: value.index("}")] if value.startswith("{") else value.split(",")[0]
        called += re.findall(r"%([\w.\-]+)", value)
    return Instruction(operation, _size(kind), re.findall(r"%([\w.\-]+)", operands), called)


def _closing(text: str) -> int:
    """Where the parenthesis closes that the text begins with."""
    depth = 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return index
    return len(text)


def _size(kind: str) -> int:
    total = 0
    for name, shape in re.findall(r"(\w+)\[([\d,]*)\]", kind):
        count = _BYTES[name]
        for length in filter(None, shape.split(",")):
            count *= int(length)
        total += count
    return total


def moved(program: Program, among: Callable[[list[int]], int]) -> int:
    """Bytes that the kernels read and write, of branches the most or the least; of a loop one turn, or none.

    Args:
        program: the program.
        among: `max` or `min`.
    """

    def of(name: str) -> int:
        instructions, total = program.computations[name], 0
        for one in instructions.values():
            if one.operation == "while":
                total += among([0, sum(map(of, one.called))])
            elif one.operation == "conditional":
                total += among(list(map(of, one.called)))
            elif one.operation == "call":
                total += sum(map(of, one.called))
            elif _is_kernel(one):
                total += one.size + sum(instructions[x].size for x in one.operands)
        return total

    return of(program.entry)


def kernels(program: Program) -> int:
    """How many kernels there are, in all branches and loops."""

    def of(name: str) -> int:
        return sum(
            sum(map(of, one.called)) if one.operation in ("while", "conditional", "call") else one.operation in _KERNELS
            for one in program.computations[name].values()
        )

    return of(program.entry)


def _is_kernel(one: Instruction) -> bool:
    return one.operation not in _FREE and not one.operation.endswith("-done")
