"""How functions are compiled that have machine code only within others: only as far as needed.

Numba optimises every function and makes machine code of it, and does both again to each kernel that
the function has become part of. For what nobody but kernels call, only the second time counts; the
first is left out, which `benchmarks/startup.py` notices.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class PartCompiler(Compiler):  # type: ignore[misc]
    """A compiler for `numba.njit(pipeline_class=...)`."""

    def define_pipelines(self) -> Any:
        """Let the passes, which are the usual ones, write into a library of ours."""
        name = self.state.func_id.func_qualname
        self.state.library = _Unfinished(self.state.targetctx.codegen(), name)
        return super().define_pipelines()


class _NoEngine:
    """Stands where Numba expects what runs a library, and tells it where its constants are."""

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing runs."""


class _Unfinished(JITCodeLibrary):  # type: ignore[misc]
    """Code of LLVM, simplified and ready to be linked into other libraries."""

    codegen = _NoEngine()

    def _optimize_final_module(self) -> None:
        """That of the kernel is optimised."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Numba's way to say that there is no such machine code."""
        self._ensure_finalized()
        return 0

    def serialize_using_object_code(self) -> Any:
        """What is kept on disk."""
        return self.name, "bitcode", self._get_module_for_linking().as_bitcode()
