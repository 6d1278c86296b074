#!/usr/bin/env python3
"""Test vectors for src/approximation: what mpmath, gmpy2, numpy and scipy make of the same requests.

    approximation.py --write FILE

Needs `pip install mpmath==1.4.1 gmpy2==2.3.2 numpy==2.4.6 scipy==1.17.1`. Nothing is shared with henn's way of computing:

- projections solve the Gram system of Chebyshev's polynomials in 40 digits, all integrals by tanh-sinh panels over u = cos t or u;
- sums over grids are numpy's `chebfit`, and normal equations in 40 digits;
- least greatest errors are linear programs (scipy's HiGHS) over a fine set of points, which bound the true ones from below;
- series are mpmath's `taylor`.

About five minutes. See tests/vectors/README.md.
"""

import argparse
import json
import platform
import sys

import gmpy2
import mpmath as mp
import numpy as np
import scipy
from numpy.polynomial import chebyshev
from scipy.optimize import linprog

mp.mp.dps = 40
gmpy2.get_context().precision = 140

# With the elementary functions of mpmath or of gmpy2 (MPFR).
FUNCTIONS = {
    "sigmoid": lambda on, x: (1 + on.tanh(x / 2)) / 2,
    "tanh": lambda on, x: on.tanh(x),
    "relu": lambda on, x: max(x, 0 * x),
    "bipolar_sigmoid": lambda on, x: on.tanh(2 * x),
    "softplus": lambda on, x: max(x, 0 * x) + on.log1p(on.exp(-abs(x))),
    "swish": lambda on, x: x * (1 + on.tanh(x / 2)) / 2,
}
MEASURES = ("uniform", "chebyshev", "chebyshev_regularised", "damped")
INTERVALS = ((-1, 1), (-8, 8), (-10, 10), (-100, 100), (-1000, 1000), (-100000, 100000), (-1, 3))
DEGREES = (1, 2, 3, 4, 5, 6, 7, 8, 9)
TOP = 15


def number(value):
    """The nearest double of a number of mpmath, for JSON; rounding noise of an exact 0 is 0."""
    return 0.0 if abs(value) < mp.mpf(10) ** -300 else float(value)


def real(value):
    """A number of mpmath as one of gmpy2, whose sums are quicker."""
    sign, mantissa, exponent, _ = mp.mpf(value)._mpf_
    return gmpy2.mpfr(-mantissa if sign else mantissa) * gmpy2.exp2(exponent)


def back(value):
    mantissa, exponent = value.as_mantissa_exp()
    return mp.mpf(int(mantissa)) * mp.mpf(2) ** int(exponent)


def panels(measure, low, high):
    """Nodes (u, weight) of tanh-sinh rules, panels shrinking by powers of ten towards the step, the middle and the ends."""
    middle, half = mp.mpf(low + high) / 2, mp.mpf(high - low) / 2
    step = -middle / half
    points = {mp.mpf(-1), mp.mpf(1), mp.mpf(0), step}
    for exponent in range(-1, 7):
        for factor in (mp.mpf("0.5"), 1, 2, 4):
            distance = factor * mp.mpf(10) ** -exponent
            points |= {step - distance, step + distance}
    for place in ("0.05", "0.1", "0.2", "0.3", "0.5", "0.75"):
        points |= {mp.mpf(place), -mp.mpf(place)}
    points = {p for p in points if -1 <= p <= 1}
    angles = measure.startswith("chebyshev")
    if angles:
        ends = [mp.mpf(place) for place in ("0.01", "0.03", "0.06", "0.1", "0.2", "0.3")]
        points = {mp.acos(p) for p in points} | set(ends) | {mp.pi - e for e in ends}
    ordered = sorted(points)
    # mpmath gives the nodes that its level 6 adds, which are a rule of their own with twice the step 2^-6.
    nodes = mp.calculus.quadrature.TanhSinh(mp.mp).calc_nodes(6, 140)
    rule = [(real(place), real(share / 32)) for place, share in nodes]
    assert abs(sum(share for _, share in rule) - 2) < 1e-35
    for start, end in zip(ordered, ordered[1:]):
        if end - start < mp.mpf(10) ** -30:
            continue
        start, width = real(start), real((end - start) / 2)
        for place, share in rule:
            s = start + width * (1 + place)
            if angles:
                u, sine = gmpy2.cos(s), gmpy2.sin(s)
                weight = sine / gmpy2.sqrt(gmpy2.mpfr("0.001") + sine**2) if measure == "chebyshev_regularised" else 1
            else:
                u = s
                weight = gmpy2.exp(-1 / s**2) if measure == "damped" and s else int(measure == "uniform")
            yield u, width * share * weight


def polynomials(u, top):
    values = [1 + 0 * u, u]
    while len(values) <= top:
        values.append(2 * u * values[-1] - values[-2])
    return values


def gram(moments, targets, degree):
    """The coefficients of T_0 .. T_degree: T_i T_j = (T_(i+j) + T_|i-j|) / 2."""
    size = degree + 1
    matrix = mp.matrix(size, size)
    for i in range(size):
        for j in range(size):
            matrix[i, j] = (moments[i + j] + moments[abs(i - j)]) / 2
    solution = mp.lu_solve(matrix, mp.matrix(targets[:size]))
    return [solution[i] for i in range(size)]


def sums(points, function, low, high, top):
    """Sums of T_k f to a degree, and of f², from points (u, weight, [T_0, T_1, ...])."""
    middle, half = gmpy2.mpfr(low + high) / 2, gmpy2.mpfr(high - low) / 2
    targets, square = [gmpy2.mpfr(0)] * (top + 1), gmpy2.mpfr(0)
    for u, weight, values in points:
        f = FUNCTIONS[function](gmpy2, middle + half * u)
        product = weight * f
        for k in range(top + 1):
            targets[k] += product * values[k]
        square += product * f
    return [back(target) for target in targets], back(square)


def chopped(coefficients):
    greatest = max(abs(c) for c in coefficients)
    return [number(c) if abs(c) > greatest * mp.mpf(10) ** -30 else 0.0 for c in coefficients]


def leading(coefficients, low, high):
    """The coefficient of x^n of a sum of Chebyshev's polynomials on an interval."""
    n = len(coefficients) - 1
    return coefficients[n] * mp.mpf(2) ** max(n - 1, 0) / (mp.mpf(high - low) / 2) ** n


def projections():
    turn = 0
    for low, high in INTERVALS:
        for measure in MEASURES:
            points = [(u, w, polynomials(u, 2 * TOP)) for u, w in panels(measure, low, high)]
            moments = [back(sum(w * values[k] for _, w, values in points)) for k in range(2 * TOP + 1)]
            half = mp.mpf(high - low) / 2
            for function in FUNCTIONS:
                targets, square = sums(points, function, low, high, TOP)
                for degree in (DEGREES[turn % len(DEGREES)], TOP):
                    coefficients = gram(moments, targets, degree)
                    rest = square - mp.fsum(c * t for c, t in zip(coefficients, targets))
                    if not measure.startswith("chebyshev"):
                        rest *= half
                    chopped_ = chopped(coefficients)
                    yield {
                        "function": function,
                        "measure": measure,
                        "interval": [low, high],
                        "degree": degree,
                        "chebyshev": chopped_,
                        "leading": number(leading(coefficients, low, high)) if chopped_[-1] else 0.0,
                        "norm": number(mp.sqrt(abs(rest))),
                    }
                turn += 1
            print(measure, low, high, len(points), file=sys.stderr)


def grids():
    cases = [("sigmoid", -8, 8, 3, 1601), ("sigmoid", -8, 8, 11, 1601), ("tanh", -3, 3, 7, 60), ("relu", -1, 3, 6, 101),
             ("swish", -8, 8, 9, 20), ("softplus", -1000, 1000, 15, 2001), ("bipolar_sigmoid", -1, 3, 8, 333),
             ("sigmoid", -10, 10, 9, 10), ("relu", -1, 1, 15, 16)]
    for function, low, high, degree, count in cases:
        middle, half = (low + high) / 2, (high - low) / 2
        places = [gmpy2.mpfr(2 * i - count + 1) / (count - 1) for i in range(count)]
        points = [(u, 1, polynomials(u, 2 * TOP)) for u in places]
        moments = [back(sum(values[k] for _, _, values in points)) for k in range(2 * degree + 1)]
        targets, _ = sums(points, function, low, high, degree)
        coefficients = gram(moments, targets, degree)
        xs = np.array([float(u) for u in places])
        ys = np.array([float(FUNCTIONS[function](gmpy2, middle + half * u)) for u in places])
        numpy_fit = chebyshev.chebfit(xs, ys, degree)
        scale = max(abs(numpy_fit))
        difference = max(abs(float(c) - d) for c, d in zip(coefficients, numpy_fit)) / scale
        assert difference < 1e-8, (function, degree, count, difference)
        yield {
            "function": function,
            "interval": [low, high],
            "degree": degree,
            "points": count,
            "chebyshev": chopped(coefficients),
            "numpy_differs_by": float(f"{difference:.1e}"),
        }


def minimax():
    cases = [("sigmoid", -8, 8, 3), ("sigmoid", -8, 8, 9), ("sigmoid", -1, 3, 4), ("tanh", -8, 8, 7), ("tanh", -1, 3, 6),
             ("relu", -1, 1, 4), ("relu", -8, 8, 10), ("relu", -1, 3, 7), ("swish", -8, 8, 6), ("swish", -1, 3, 5),
             ("softplus", -10, 10, 8), ("bipolar_sigmoid", -8, 8, 15), ("sigmoid", -1000, 1000, 9)]
    for function, low, high, degree in cases:
        middle, half = (low + high) / 2, (high - low) / 2
        u = np.cos(np.linspace(0, np.pi, 3001))
        near = -middle / half + np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 1000), -np.geomspace(1e-3, 1e3, 1000)]) / half
        u = np.unique(np.concatenate([u, near[abs(near) <= 1]]))
        rescale = max(1.0, half + abs(middle)) if function in ("relu", "softplus", "swish") else 1.0
        f = np.array([float(FUNCTIONS[function](mp, mp.mpf(middle) + mp.mpf(half) * mp.mpf(float(v)))) for v in u]) / rescale
        basis = chebyshev.chebvander(u, degree)
        ones = np.ones((len(u), 1))
        bounds = [(None, None)] * (degree + 1) + [(0, None)]
        answer = linprog([0.0] * (degree + 1) + [1.0],
                         A_ub=np.vstack([np.hstack([basis, -ones]), np.hstack([-basis, -ones])]),
                         b_ub=np.concatenate([f, -f]), bounds=bounds, method="highs-ds",
                         options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10})
        assert answer.status == 0, (function, degree, answer.message)
        yield {"function": function, "interval": [low, high], "degree": degree,
               "error": float(f"{answer.x[-1] * rescale:.12g}")}


def series():
    smooth = [name for name in FUNCTIONS if name != "relu"]
    for function in smooth:
        f = FUNCTIONS[function] if function != "softplus" else lambda on, x: on.log1p(on.exp(x))
        coefficients = mp.taylor(lambda x: f(mp, x), 0, TOP)
        yield {"function": function, "coefficients": [number(c) if abs(c) > mp.mpf(10) ** -20 else 0.0 for c in coefficients]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="FILE", required=True)
    target = parser.parse_args().write
    document = {
        "made_with": {"python": platform.python_version(), "mpmath": mp.__version__, "gmpy2": gmpy2.version(),
                      "numpy": np.__version__, "scipy": scipy.__version__},
        "series": list(series()),
        "grids": list(grids()),
        "minimax": list(minimax()),
        "projections": list(projections()),
    }
    with open(target, "w", encoding="utf-8") as file:
        # One case a line.
        file.write('{\n"made_with": ' + json.dumps(document["made_with"]))
        for part in ("series", "grids", "minimax", "projections"):
            file.write(f',\n"{part}": [\n' + ",\n".join(json.dumps(case) for case in document[part]) + "\n]")
        file.write("\n}\n")


if __name__ == "__main__":
    main()
