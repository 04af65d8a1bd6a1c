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
        fused: the computation of a fusion.
        condition: the computation that ends a loop.
        number: of a parameter its index, of a constant its value, of a loop its turns, where the text says so.
        direction: of a comparison.
    """

    operation: str
    size: int
    operands: list[str]
    called: list[str]
    fused: str
    condition: str
    number: int | None
    direction: str


class Program(NamedTuple):
    """Instructions by name, for each computation by name; the name of the last of each; and which is run."""

    computations: dict[str, dict[str, Instruction]]
    roots: dict[str, str]
    entry: str


def parse(text: str) -> Program:
    """The program of a text."""
    computations: dict[str, dict[str, Instruction]] = {}
    roots: dict[str, str] = {}
    entry = at = ""
    for line in text.split("\n"):
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            at = head[2]
            computations[at] = {}
            entry = at if head[1] else entry
        elif found := re.match(r"\s+(ROOT )?%?([\w.\-]+) = (.*)", line):
            computations[at][found[2]] = _instruction(found[3])
            roots |= {at: found[2]} if found[1] else {}
    return Program(computations, roots, entry)


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
    number = re.search(r'known_trip_count":\{"n":"(\d+)"', attributes) or re.fullmatch(r"\((\d+)", operands)
    return Instruction(
        operation,
        _size(kind),
        re.findall(r"%([\w.\-]+)", operands),
        called,
        _named("calls=%", attributes),
        _named("condition=%", attributes),
        int(number[1]) if number else None,
        _named("direction=", attributes),
    )


def _named(key: str, attributes: str) -> str:
    found = re.search(rf"{key}([\w.\-]+)", attributes)
    return found[1] if found else ""


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
    """Bytes that the kernels read and write, of branches the most or the least.

    Loops have their turns, where these can be read; of another loop it is one turn, or none.

    Args:
        program: the program.
        among: `max` or `min`.
    """

    def of(name: str) -> int:
        instructions, total = program.computations[name], 0
        for one in instructions.values():
            if one.operation == "while":
                turn, turns = sum(map(of, one.called)), _turns(program, one)
                total += among([0, turn]) if turns is None else turns * turn
            elif one.operation == "conditional":
                total += among(list(map(of, one.called)))
            elif one.operation == "call":
                total += sum(map(of, one.called))
            elif _is_kernel(one):
                total += _traffic(program, instructions, one)
        return total

    return of(program.entry)


def _turns(program: Program, loop: Instruction) -> int | None:
    """Those that the compiler has written down, or the bound of a counter, which JAX's loops count up from 0."""
    if loop.number is not None or loop.condition not in program.roots:
        return loop.number
    inside = program.computations[loop.condition]
    end = inside[program.roots[loop.condition]]
    bounds = [inside[x].number for x in end.operands if inside[x].operation == "constant"]
    return bounds[0] if end.direction == "LT" and len(bounds) == 1 else None


def _traffic(program: Program, around: dict[str, Instruction], one: Instruction) -> int:
    """Bytes that a kernel reads and writes: of what it slices or updates in place, the slice."""
    if one.operation == "dynamic-slice":
        return 2 * one.size
    if one.operation == "dynamic-update-slice":
        return 2 * around[one.operands[1]].size
    sizes = [around[x].size for x in one.operands]
    if one.fused not in program.roots:
        return one.size + sum(sizes)
    inside = program.computations[one.fused]
    parameters = {x.number: name for name, x in inside.items() if x.operation == "parameter"}
    return _written(inside, program.roots[one.fused]) + sum(
        min(size, _read(inside, parameters[index], size)) for index, size in enumerate(sizes)
    )


def _read(inside: dict[str, Instruction], name: str, size: int) -> int:
    users = [(key, x) for key, x in inside.items() if name in x.operands]
    total = 0
    for key, user in users:
        if user.operation == "bitcast":
            total += _read(inside, key, size)
        elif user.operation == "dynamic-slice" and user.operands[0] == name:
            total += user.size
        elif user.operation != "dynamic-update-slice" or user.operands[0] != name:
            return size
    return total if users else size


def _written(inside: dict[str, Instruction], name: str) -> int:
    one = inside[name]
    if one.operation in ("tuple", "bitcast"):
        return sum(_written(inside, x) for x in one.operands)
    return inside[one.operands[1]].size if one.operation == "dynamic-update-slice" else one.size


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
