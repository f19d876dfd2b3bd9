"""The rules of the workflow as Snakemake has parsed them: from files to jobs, without Snakemake's DAG.

One of the modules that use undocumented parts of Snakemake (`snakemake_internals`).
"""

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from segunc.runtime.job import Source

RECORD = "record"
"""Label of the record among the outputs of a job."""


class Rules:
    """The rules of a workflow, for a walk from files to the jobs that make them, without Snakemake's DAG.

    That works before the raw data is there, and in a tenth of the time.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (Rule)
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/io/__init__.py (_IOFile.regex)
    """

    def __init__(self, workflow: Any) -> None:
        self.names = [rule.name for rule in workflow.rules]
        self._rules = {rule.name: rule for rule in workflow.rules}
        # Most paths differ in their first characters, which is cheaper to find out than by a regular expression.
        self._patterns = [
            (str(path).partition("{")[0], re.compile(path.regex()).fullmatch, rule.name)
            for rule in workflow.rules
            for path in rule.output
        ]
        # `rules.X.output` as in a Snakefile: without the constraints that Snakemake writes into the braces.
        self._outputs = {rule.name: getattr(workflow.globals["rules"], rule.name).output for rule in workflow.rules}
        self._options = {rule.name: _options_in(rule.shellcmd or "") for rule in workflow.rules}
        self._labels = {
            name: [RECORD if path == getattr(output, RECORD, None) else PurePath(path).name for path in output]
            for name, output in self._outputs.items()
        }
        self.targets = [rule.name for rule in workflow.rules if not rule.output]
        self.default_target = workflow.default_target

    def producer(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Name and wildcards of the rule that makes a file; None if no rule does."""
        for prefix, match, name in self._patterns:
            if path.startswith(prefix) and (found := match(path)):
                return name, found.groupdict()
        return None

    def labels(self, rule: str) -> list[str]:
        """What to call the outputs of a rule, one by one: the last part of the pattern, `record` for the record."""
        return self._labels[rule]

    def source(self, path: str) -> Source | None:
        """Which record says what a file was made from, and under which label; None if no rule makes it."""
        found = self.producer(path)
        if found is None:
            return None
        rule, wildcards = found
        label = self._labels[rule][self.outputs(rule, wildcards).index(path)]
        return Source(path, label, self.pattern(rule, RECORD).format_map(wildcards))

    @property
    def records(self) -> str:
        """The folder of all records."""
        patterns = [getattr(output, RECORD, None) for output in self._outputs.values()]
        return os.path.commonpath(pattern.partition("{")[0] for pattern in patterns if pattern)

    def inputs(self, rule: str, wildcards: Mapping[str, str]) -> list[str]:
        """The files that a job reads."""
        files: list[str] = []
        named = _Wildcards(wildcards)
        for item in self._rules[rule].input:
            function = _function_of(item)
            if function is None:
                files.append(str(item).format_map(wildcards))
            else:
                found = function(named)
                found = found.values() if isinstance(found, Mapping) else found
                files += [found] if isinstance(found, str) else found
        return files

    def outputs(self, rule: str, wildcards: Mapping[str, str]) -> list[str]:
        """The files that a job writes, its record among them."""
        return [path.format_map(wildcards) for path in self._outputs[rule]]

    def pattern(self, rule: str, output: str) -> str:
        """The pattern of a rule's output."""
        return getattr(self._outputs[rule], output)

    def param(self, rule: str, name: str, wildcards: Mapping[str, str]) -> Any:
        """A param of a job, of those that need nothing but its wildcards; "" if its rule does not have it."""
        return value_of(getattr(self._rules[rule].params, name, ""), _Wildcards(wildcards))

    def command(self, rule: str, wildcards: Mapping[str, str]) -> str:
        """The options of a rule's program as the rule spells them, and the ids of the cell, if it passes them."""
        return f"{self._options[rule]} {self.param(rule, 'cell', wildcards)}".strip()

    def threads(self, rule: str) -> int:
        """CPU cores of a job, with --set-threads applied."""
        return int(self._rules[rule].resources["_cores"].value)


def _options_in(shell: str) -> str:
    """The options of the program in the shell command of a rule, without where its output goes."""
    return " ".join(re.split(r" (?:>|2>&1|\|)", shell.partition("{params.job}")[2])[0].split())


class _Wildcards(dict[str, str]):
    """Wildcards as Snakemake passes them to functions: by attribute and by key."""

    __getattr__ = dict.__getitem__


def _function_of(item: Any) -> Any:
    """The input function behind an item of a rule's input; None for a path.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (Rule.apply_input_function)
    """
    if callable(item):
        return item
    return getattr(item._file, "callable", None) or (item._file if callable(item._file) else None)


def value_of(param: Any, wildcards: Any) -> Any:
    """The value of a param, which may be a function of the wildcards."""
    return param(wildcards) if callable(param) else param
