"""A real shared library with the simulated J-Link library's functions: C that jumps to the same ctypes thunks.

For tests of what pylink does with a file: find it, copy it, load it. The C is made from the same table of functions.
"""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_functions import Function

COMPILER = shutil.which("gcc") or shutil.which("cc")
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
C_TYPES = {
    None: "void",
    ctypes.c_int: "int",
    ctypes.c_uint8: "uint8_t",
    ctypes.c_uint16: "uint16_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_char_p: "const char *",
    ctypes.c_void_p: "void *",
}
HEAD = """#include <stdint.h>
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
static void *thunks[{count}];
EXPORT void install(int index, void *thunk) {{ thunks[index] = thunk; }}
"""


def build(dll: SimulatedDll, path: Path) -> ctypes.CDLL:
    """Compile the library to `path` and tie it to the thunks; both last as long as what is returned and `dll`."""
    assert COMPILER is not None
    source = path.with_suffix(".c")
    functions = list(dll.functions.values())
    lines = [_trampoline(index, function) for index, function in enumerate(functions)]
    source.write_text(HEAD.format(count=len(functions)) + "\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", path, source], check=True)
    library = ctypes.CDLL(str(path))
    addresses = dll.addresses()
    for index, function in enumerate(functions):
        library.install(index, ctypes.c_void_p(addresses[function.name]))
    return library


def _trampoline(index: int, function: Function) -> str:
    types = [C_TYPES[argument] for argument in function.arguments]
    result = C_TYPES[function.result]
    declared = ", ".join(f"{kind} a{number}" for number, kind in enumerate(types)) or "void"
    passed = ", ".join(f"a{number}" for number in range(len(types)))
    jump = f"(({result} (*)({', '.join(types) or 'void'}))thunks[{index}])({passed});"
    return f"EXPORT {result} {function.name}({declared}) {{ {'' if result == 'void' else 'return '}{jump} }}"
