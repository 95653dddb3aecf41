"""Whether two polynomials have no common factor, seen modulo a prime: no greatest common divisor
is computed.

A common factor has a degree above 0 in some variable. Put numbers for all others such that the
leading coefficient of one of the two does not vanish, and it still has: so where the images, in one
variable and modulo a prime, are prime to each other for every variable that both have, the
polynomials are. That is a proof; the converse is not looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PRIME = 2**31 - 1
Monomial = tuple[int, ...]


def coprime(one: dict[Monomial, int], two: dict[Monomial, int]) -> bool:
    """Whether two polynomials, given by terms, are seen to have no common factor but numbers."""
    shared = [
        i for i, used in enumerate(zip(_degrees(one), _degrees(two), strict=True)) if all(used)
    ]
    return all(_apart(_image(one, i), _image(two, i)) for i in shared)


def _degrees(terms: Iterable[Monomial]) -> list[int]:
    return [max(powers) for powers in zip(*terms, strict=True)]


def _point(variable: int) -> int:
    """A number for each variable, the same ones every time."""
    return pow(16_807, variable + 7, PRIME)


def _image(terms: dict[Monomial, int], variable: int) -> list[int]:
    """The polynomial in one variable, lowest coefficient first, with numbers for the others."""
    image = [0] * (1 + max(m[variable] for m in terms))
    for monomial, coefficient in terms.items():
        for i, exponent in enumerate(monomial):
            if exponent and i != variable:
                coefficient = coefficient * pow(_point(i), exponent, PRIME) % PRIME
        image[monomial[variable]] = (image[monomial[variable]] + coefficient) % PRIME
    return image


def _apart(one: Sequence[int], two: Sequence[int]) -> bool:
    """Whether images have no common factor, one of them being of the polynomial's own degree."""
    if not one[-1] and not two[-1]:
        return False
    a, b = _trimmed(one), _trimmed(two)
    while b:
        inverse = pow(b[-1], -1, PRIME)
        while len(a) >= len(b):
            scale, shift = a[-1] * inverse % PRIME, len(a) - len(b)
            for i, coefficient in enumerate(b):
                a[shift + i] = (a[shift + i] - scale * coefficient) % PRIME
            a = _trimmed(a)
        a, b = b, a
    return len(a) == 1


def _trimmed(image: Sequence[int]) -> list[int]:
    result = [*image]
    while result and not result[-1]:
        result.pop()
    return result
