"""Powers of e for loops over many numbers.

    e^z = 2^n * e^r,   n = z / ln 2 rounded,   r = z - n * ln 2,   so that |r| <= ln 2 / 2

Near 0 the series of e^r - 1 = r + r^2/2! + r^3/3! + ... needs few terms; and 2^n is no work at all,
for a floating point number is written as a power of two times a fraction: its exponent is n.
`math.exp` is exact to the last digit, this to the last but one; but that is a call for each number,
while a formula is turned by LLVM into instructions that do a vector of numbers at a time.

The method is that of W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiling import compiled_part

TERMS = 13  # (ln 2 / 2)^14 / 14! is below the last digit of float64
COARSE = 355 / 512  # ln 2, but n * COARSE has no digit too many;
FINE = -2.121944400546905827679e-4  # ln 2 - COARSE, of which math.log(2) has too few digits
FORMATS = {types.float32: (32, 23, 127), types.float64: (64, 52, 1023)}  # bits, of a fraction, bias


def _two_to_the_in_python(n):
    """2^n for a whole number n, given and returned as a floating point number."""
    return np.ldexp(type(n)(1), int(n))


@intrinsic
def _two_to_the_in_llvm(typing, n):
    """The same, for n up to bias; 0 for n below 1 - bias, where fractions lose their digits.

    The bits of n + bias are put where an exponent stands.
    """
    bits, fraction, bias = FORMATS[n]

    def codegen(context, builder, signature, args):
        exponent = builder.fptosi(args[0], ir.IntType(32))  # no AVX2 CPU has vectors for 64
        exponent = builder.add(exponent, exponent.type(bias))
        is_small = builder.icmp_signed("<", exponent, exponent.type(0))
        exponent = builder.select(is_small, exponent.type(0), exponent)
        if bits > 32:
            exponent = builder.zext(exponent, ir.IntType(bits))
        exponent = builder.shl(exponent, exponent.type(fraction))
        return builder.bitcast(exponent, args[0].type)

    return n(n), codegen


two_to_the = _two_to_the_in_python if numba.config.DISABLE_JIT else _two_to_the_in_llvm


@compiled_part
def power_parts(z):
    """What e^z is made of: (n, e^r - 1); of NaN, (0, NaN).

    Two products instead of one, since n * ln 2, rounded, would cost r its last digits.
    """
    real = type(z)
    n = np.floor(z * real(1 / math.log(2)) + real(0.5))
    n = n if n == n else real(0)  # NaN is no exponent
    r = (z - n * real(COARSE)) - n * real(FINE)
    series = real(0)
    for k in range(TERMS, 0, -1):
        series = (series + real(1)) * (r * real(1 / k))
    return n, series
